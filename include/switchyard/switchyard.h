// The whole public interface in one include.
#pragma once

#include "switchyard/bootstrap.h"
#include "switchyard/buffer.h"
#include "switchyard/combine.h"
#include "switchyard/config.h"
#include "switchyard/dispatch.h"
#include "switchyard/dlpack.h"
#include "switchyard/dtype.h"
#include "switchyard/error.h"
#include "switchyard/group.h"
#include "switchyard/layout.h"
#include "switchyard/membership.h"
#include "switchyard/tensor.h"
#include "switchyard/trace.h"
#include "switchyard/version.h"
