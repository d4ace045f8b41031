#include "tables.h"

namespace scorelab {

void OutputOptions::params(Params& p) {
  p("predict", predict,
    "what the network's output F means: eps, x0, v, velocity or score itself; score-over-sigma: "
    "score = F/sigma (NCSNv2, technique 3); mean: that of x one level below, given x (DDPM); edm: "
    "the preconditioning of Karras et al. 2022, table 1")
      .one_of({"eps", "x0", "v", "velocity", "score", "score-over-sigma", "mean", "edm"});
  p("variance", variance,
    "what the network also predicts for a reverse step's variance. learned-range: where it lies "
    "between the posterior's and the forward kernel's (Nichol & Dhariwal 2021); learned: the "
    "logarithm of its ratio to the kernel's (Sohl-Dickstein et al. 2015)")
      .one_of({"none", "learned-range", "learned"});
  p.needs("finite-snr",
          "where alpha is 0 it says nothing of x0; predict x0, v or velocity, or end the process "
          "before")
      .when("predict", {"eps", "score", "score-over-sigma"});
  p.needs("finite-snr",
          "sigma/alpha is infinite where alpha is 0; predict x0, v or velocity, or end the process "
          "before")
      .when("predict", {"edm"});
  p.needs("finite-velocity",
          "the velocity is infinite where alpha ends at 0 like a root; predict x0 or v")
      .when("predict", {"velocity"});
  p.needs("variance", "a learned `variance` is a second output of the network, beside the mean")
      .when("variance", {"learned-range", "learned"});
  p.needs("teaches-variance", "without that the variance stays as random as it began")
      .when("variance", {"learned-range", "learned"});
  p.gives("learned-variance").when("variance", {"learned-range", "learned"});
  p("sigma_data", sigma_data, "standard deviation of the data in the edm preconditioning")
      .range(1e-6, 1e6)
      .when("predict", {"edm"});
}

void TrainOptions::params(Params& p) {
  p("steps", steps, "optimiser steps; 0: the weights that `weights` or `from` names, as they are")
      .range(0, 1e9);
  p("batch", batch, "samples a step").range(1, 1e6);
  p("accumulate", accumulate,
    "parts of the batch that go through the network in turn, their gradients summed: less memory, "
    "the same draws")
      .range(1, 1e6);
  p("lr", lr, "learning rate after the warm-up").range(1e-12, 100);
  p("optimizer", optimizer, "Adam (Kingma & Ba 2015) or AdamW (Loshchilov & Hutter 2019)")
      .one_of({"adam", "adamw"});
  p("beta1", beta1, "decay of the first moment").range(0, 0.9999999);
  p("beta2", beta2, "decay of the second moment").range(0, 0.9999999);
  p("eps", eps, "added to the root of the second moment").range(0, 1);
  p("weight_decay", weight_decay, "decoupled weight decay")
      .range(0, 100)
      .when("optimizer", {"adamw"});
  p("warmup", warmup,
    "steps over which the learning rate rises linearly; step n of them has lr n/warmup")
      .range(0, 1e9);
  p("decay", decay,
    "share of the steps, at the end, over which the learning rate falls linearly to 0")
      .range(0, 1);
  p("clip", clip, "largest norm of the gradient; 0: no clipping").range(0, 1e9);
  p("drop_condition", drop_condition,
    "share of the samples whose condition (class label, ..) is dropped in training, so that the "
    "network learns to work without: classifier-free guidance")
      .range(0, 1)
      .formerly("drop_labels");
  p.gives("unconditional").above("drop_condition", 0);
  p("from", *from,
    "a model of the manifest, of the same network, whose weights training starts from; none: the "
    "network's first weights");
  p("weights", weights,
    "a safetensors file whose tensors training starts from, by the network's own names; empty: the "
    "network's first weights")
      .file();
  p("weights_map", weights_map,
    "OLD=NEW, for files with other names: the first OLD in each of its names becomes NEW, one "
    "entry after another");
  p("ema_warmup", ema_warmup, "averages start fast: rate min(ema, (1 + n)/(10 + n)) at step n");
  p("log_every", log_every, "steps between rows of the stream `train`").range(1, 1e9).reporting();
  p("evaluate_every", evaluate_every,
    "steps between rows of the stream `evaluate`: the loss on fixed draws, with each average's "
    "weights; 0: never")
      .range(0, 1e9)
      .reporting();
  p("preview_every", preview_every, "steps between sample pictures; 0: never")
      .range(0, 1e9)
      .reporting();
  p("preview_count", preview_count, "samples in such a picture").range(1, 1024).reporting();
  p("checkpoint_every", checkpoint_every, "steps between checkpoints").range(1, 1e9).reporting();
}

void ModelOptions::params(Params& p) {
  p("ema", ema, "which average of the weights is used; 0: the weights themselves")
      .range(0, 0.9999999);
  p("seed", seed, "of its training").range(0, 1e9);
}

void SampleOptions::params(Params& p) {
  p("count", count,
    "number of samples; those already stored are kept, and only the missing ones are drawn")
      .range(1, 1e9)
      .reporting();
  p("ema", ema, "which average of the weights is sampled; 0: the weights themselves")
      .range(0, 0.9999999);
  p("step", step, "which checkpoint of the training is sampled, by its step; 0: the last")
      .range(0, 1e9);
  p("initial", *initial, "what the sampler starts from");
  p("moments", moments,
    "sampled: samples are drawn; exact: mean and variance of the result, without Monte Carlo, by "
    "probing a sampler that is affine in x and its draws, on a Gaussian with independent elements; "
    "norms are the population's")
      .one_of({"sampled", "exact"});
  p("noise", noise,
    "an HDF5 file whose `noise` [draws, samples, ..] holds recorded standard normals, another "
    "program's, in place of drawn ones: the start's first, then those of the sampler in its order")
      .file()
      .when("moments", {"sampled"});
  p("condition", condition,
    "conditions given to a conditional network. data: those of as many draws of the data; none; "
    "for class labels also balanced, sample k is of class k modulo the classes, or one class for "
    "all")
      .one_of({"data", "balanced", "none"})
      .range(0, 1e6)
      .formerly("labels");
  p("trace", trace,
    "number of samples, from the first, whose whole path is stored; at most a chunk")
      .range(0, 1e6)
      .reporting();
  p.gives("trace").above("trace", 0);
  p("group", group,
    "norms of the sampler are means over groups of so many samples (a paper's batch means)")
      .range(1, 1e6);
  p("max_nfe", max_nfe, "network evaluations of a sample after which the stage fails")
      .range(1, 1e12)
      .reporting();
}

void MetricOptions::params(Params& p) {
  p("reference", reference,
    "which data it compares with: data, the training data; holdout, the held-out data")
      .one_of({"data", "holdout"});
}

schema::Schema with_options_of_kind(const std::string& kind, schema::Schema s) {
  if (kind != "metric") return s;
  MetricOptions options;
  Params p;
  options.params(p);
  for (auto& more : schema::of(p).params)
    if (!s.find(more.name)) s.params.push_back(std::move(more));
  return s;
}

void RunOptions::params(Params& p) {
  p("device", device, "auto, cpu, cuda or cuda:i").reporting();
  p("precision", precision,
    "float32 and float64: samples, weights and networks are of this type. bf16: networks multiply "
    "in bfloat16; samples, weights and losses stay float32. tf32: float32, whose products a GPU "
    "rounds to 10 bits")
      .one_of({"float32", "tf32", "bf16", "float64"})
      .formerly("dtype");
  p("noise", noise,
    "independent: each step draws fresh normals, which pair runs with equal steps; path: "
    "increments of Brownian paths, which pair runs of any steps, at some 60 times the cost of a "
    "normal")
      .one_of({"independent", "path"});
  p("threads", threads, "CPU threads; auto measures one against all, once a stage")
      .one_of({"auto"})
      .range(1, 1024)
      .reporting();
  p("chunk", chunk, "samples in one network evaluation").range(1, 1e6);
}

}  // namespace scorelab
