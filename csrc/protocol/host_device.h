// The one macro that lets csrc/protocol compile for the host, the GPU and the simulator.
#pragma once

#if defined(__CUDACC__)
#define SY_HOST_DEVICE __host__ __device__
#else
#define SY_HOST_DEVICE
#endif
