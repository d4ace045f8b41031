#pragma once
#include "evaluation.h"

namespace scorelab {

/// Where networks are run: all that stands between a model and Network::forward. It cuts large
/// batches into chunks of one size, so that bits do not depend on how many samples are asked for,
/// gives each network the conditions that it knows, and checks what it returns. Plugins never see
/// it.
class Executor {
 public:
  Executor(const Model::Parts& parts, const Model::Context& context)
      : parts_(parts), context_(context) {}

  /// F for x [B, C, ..]: [B, parts C, ..]. Chunks without an active row are zero and cost nothing.
  /// `conditioned`: with the call's condition.
  at::Tensor forward(const at::Tensor& x, const Times& t, const PerRow& active,
                     bool conditioned) const;
  /// What a classifier says of x.
  Classified classify(const at::Tensor& x, const Times& t, bool conditioned) const;

 private:
  static void expect_rows(const PerRow& of_rows, std::int64_t rows);
  /// What the network takes, of each row: the call's where it is told that, otherwise the null.
  Condition condition_of(const at::Tensor& x, bool conditioned) const;
  Input input(const at::Tensor& in, const Times& t, const Condition& condition) const;
  at::Tensor forward_chunk(const at::Tensor& x, const Times& t, const Condition& condition) const;
  void in_the_networks_name(const std::function<void()>& body) const;

  const Model::Parts& parts_;
  const Model::Context& context_;
};

}  // namespace scorelab
