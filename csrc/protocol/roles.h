// Which roles an operation has on each rank: the one list that every target plays.
#pragma once

#include "csrc/protocol/combine_accumulate.h"
#include "csrc/protocol/combine_announce.h"
#include "csrc/protocol/combine_copy_in.h"
#include "csrc/protocol/count_exchange.h"
#include "csrc/protocol/forward.h"
#include "csrc/protocol/forward_accumulate.h"
#include "csrc/protocol/node_relay.h"
#include "csrc/protocol/receive_accumulate.h"
#include "csrc/protocol/scale_out_send.h"
#include "csrc/protocol/scale_up_receive.h"
#include "csrc/protocol/scale_up_send.h"

namespace switchyard::protocol {

/// Calls `visit(node)` for each node but this rank's.
template <class Visit>
void for_each_other_node(const OperationArgs& op, Visit visit) {
  for (int node = 0; node < op.place.num_nodes; ++node) {
    if (node != op.place.node) {
      visit(node);
    }
  }
}

/// Calls `add(channel, role)` for each role of a dispatch.
template <class Add>
void for_each_role(const DispatchArgs* args, Add add) {
  add(0, CountExchange(args));
  if (args->op.place.num_nodes > 1) {
    add(0, NodeRelay(args));
  }
  for (int channel = 0; channel < args->op.num_channels; ++channel) {
    for_each_other_node(args->op, [&](int node) {
      add(channel, ScaleOutSend(&args->op, args->scale_out(), channel, node));
      add(channel, Forward(args, channel, node));
    });
    add(channel, ScaleUpSend(args, channel));
    add(channel, ScaleUpReceive(args, channel));
  }
}

/// The same for a combine. `sum_tracks` [num_channels][num_nodes]: memory of the roles, with several
/// nodes.
template <class Add>
void for_each_role(const CombineArgs* args, RingConsumer* sum_tracks, Add add) {
  const OperationArgs& op = args->op;
  add(0, CombineAnnounce(args));
  if (op.place.num_nodes > 1) {
    add(0, NodeRelay(&op));
  }
  for (int channel = 0; channel < op.num_channels; ++channel) {
    if (args->copies_in()) {
      add(channel, CombineCopyIn(args, channel));
    }
    if (op.place.num_nodes == 1) {
      add(channel, CombineAccumulate(args, channel));
      continue;
    }
    for_each_other_node(op, [&](int node) {
      add(channel, ScaleOutSend(&op, args->scale_out(), channel, node));
      add(channel, ForwardAccumulate(args, channel, node));
    });
    add(channel, ReceiveAccumulate(args, channel, sum_tracks + channel * op.place.num_nodes));
  }
}

}  // namespace switchyard::protocol
