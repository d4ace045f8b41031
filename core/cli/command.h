#pragma once
#include <CLI/CLI.hpp>
#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "catalog/catalog.h"
#include "manifest/comparison.h"
#include "plan/plan.h"

namespace scorelab::cli {

namespace fs = std::filesystem;
using schema::Json;

/// Exit codes: part of the interface.
enum Exit {
  done = 0,
  failed = 1,
  usage = 2,
  internal = 3,
  unavailable = 4,
  empty = 5,
  stopped = 75,
  interrupted = 130
};

/// Each adds one verb: its flags, and what it does. `code` is the exit code.
using Add = void (*)(CLI::App& app, int& code);
void add_check(CLI::App& app, int& code);
void add_plan(CLI::App& app, int& code);
void add_run(CLI::App& app, int& code);
void add_compare(CLI::App& app, int& code);
void add_report(CLI::App& app, int& code);
void add_show(CLI::App& app, int& code);
void add_export(CLI::App& app, int& code);
void add_gc(CLI::App& app, int& code);
void add_reproduce(CLI::App& app, int& code);
void add_ls(CLI::App& app, int& code);
void add_new(CLI::App& app, int& code);
void add_certify(CLI::App& app, int& code);
void add_list(CLI::App& app, int& code);
void add_doctor(CLI::App& app, int& code);
void add_data(CLI::App& app, int& code);

/// A manifest with its overrides, read, merged, expanded and checked; problems are printed on
/// stderr.
struct Loaded {
  manifest::Sources sources;
  bool trust = false;  ///< of the plugin folders that it names
  std::string text;    ///< the manifest's source
  manifest::Comparison comparison;
  std::vector<plan::CellPlan> cells;
  /// of a cell, by its coordinates in words
  std::map<std::string, std::vector<std::string>> left_out;
  std::vector<std::string> warnings;  ///< what works and may still mislead
  Json networks = Json::array();      ///< what they weigh: ask_plugins
  /// "step `langevin`" -> its file and the manifest's line
  std::map<std::string, std::string> plugins;
};
struct ManifestArguments {
  std::string file;
  std::vector<std::string> overrides, axes;
  bool trust = false;
  /// `files`: where several manifests may be named.
  void add(CLI::App& verb, std::vector<std::string>* files = nullptr);
};
/// The exit code if there are problems: 2, or 4 where only plugins are unavailable. `json` prints
/// them as JSON on stdout.
int load_manifest(const ManifestArguments& arguments, bool json, Loaded& out);

/// The same for a tree that is no file's, such as that of a recorded run.
int load_tree(const manifest::Node& root, const std::vector<manifest::Node>& overrides,
              const std::string& name, bool json, std::vector<manifest::Diagnostic> problems,
              Loaded& out);

/// The catalog of the built-in plugins and these folders, which the user has trusted or named on
/// the command line; schemas are learnt from the host.
catalog::Catalog open_catalog(const std::vector<fs::path>& folders);

}  // namespace scorelab::cli
