// Found in place of the toolkit's header of this name when device code is compiled for the
// emulator. The language itself (qualifiers, threadIdx, intrinsics) is in cuda_in_gcc.h.
#pragma once

using cudaStream_t = struct CUstream_st*;
