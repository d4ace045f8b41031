#include <fmt/format.h>
#include <scorelab/error.h>
#include <scorelab/version.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <iostream>

#include "cli/command.h"
#include "cli/hosts.h"
#include "cli/results.h"
#include "cli/terminal.h"
#include "manifest/diagnostic.h"
#include "record/files.h"

namespace {

using namespace scorelab::cli;

const std::pair<const char*, Add> verbs[] = {
    {"check", add_check},     {"plan", add_plan},     {"run", add_run},
    {"compare", add_compare}, {"report", add_report}, {"show", add_show},
    {"ls", add_ls},           {"export", add_export}, {"reproduce", add_reproduce},
    {"gc", add_gc},           {"new", add_new},       {"certify", add_certify},
    {"list", add_list},       {"doctor", add_doctor}, {"data", add_data}};

/// CLI11 knows what is wrong; the nearest verb or flag is ours to add.
int usage_error(const CLI::App& app, const CLI::ParseError& error, int argc, char** argv) {
  std::vector<std::string> names;
  for (const auto& [name, add] : verbs) names.emplace_back(name);
  const std::string verb = argc > 1 ? argv[1] : "";
  const CLI::App* command = nullptr;
  for (const auto* sub : app.get_subcommands({}))
    if (sub->get_name() == verb) command = sub;
  if (!command && !verb.empty() && verb[0] != '-') {
    const std::string near = scorelab::manifest::nearest(verb, names);
    std::cerr << fmt::format("error: there is no command `{}`{}\nhelp: scorelab --help\n", verb,
                             near.empty() ? "" : fmt::format("; did you mean `{}`?", near));
    return usage;
  }
  std::cerr << fmt::format("error: {}\n", error.what());
  if (command) {
    std::vector<std::string> flags;
    for (const auto* option : command->get_options())
      for (const auto& name : option->get_lnames()) flags.push_back("--" + name);
    for (int i = 2; i < argc; ++i) {
      const std::string flag = std::string(argv[i]).substr(0, std::string(argv[i]).find('='));
      if (flag.rfind("--", 0) != 0 || std::find(flags.begin(), flags.end(), flag) != flags.end())
        continue;
      if (const std::string near = scorelab::manifest::nearest(flag, flags); !near.empty())
        std::cerr << fmt::format("help: did you mean `{}`?\n", near);
    }
  }
  std::cerr << fmt::format("help: scorelab {}--help\n", command ? verb + " " : "");
  return usage;
}

/// The exit code, unless what was to be read on stdout was lost on the way (to a full disk, say). A
/// reader that went away has had enough.
int written(int code) {
  std::cout.flush();
  const int error = stdout_error();
  if (error == 0 || error == EPIPE || code != done) return code;
  std::cerr << fmt::format("error: the output could not be written to stdout: {}\n",
                           std::strerror(error));
  return failed;
}

}  // namespace

int main(int argc, char** argv) {
  scorelab::record::open_standard_descriptors();
  show_control_characters();
  std::signal(SIGPIPE, SIG_IGN);  // a reader that has gone stops no work
  // whoever started us may have ignored it: then nobody could say how a program ended
  std::signal(SIGCHLD, SIG_DFL);
  std::signal(SIGXFSZ, SIG_IGN);  // a write beyond the limit fails, with a message
  CLI::App app{
      "scorelab: experiments with diffusion and score-based models, from a manifest to a verdict"};
  app.set_version_flag("--version", SCORELAB_VERSION);
  app.require_subcommand(1);
  app.footer(
      "Exit codes: 0 done, 1 a run failed, 2 manifest or usage, 3 internal, 4 plugin or device "
      "unavailable,\n5 nothing selected, 75 stopped and resumable, 130 interrupted.");
  int code = 0;
  for (const auto& [name, add] : verbs) add(app, code);
  try {
    app.parse(argc, argv);
    return written(code);
  } catch (const CLI::Success& e) {
    return app.exit(e) == 0 ? done : usage;
  } catch (const CLI::ParseError& e) {
    return usage_error(app, e, argc, argv);
  } catch (const NothingThere& e) {
    std::cerr << "error: " << e.what() << "\n";
    return empty;
  } catch (const HostUnavailable& e) {
    std::cerr << "error: " << e.what() << "\n";
    return unavailable;
  } catch (const scorelab::Error& e) {
    std::cerr << "error: " << e.what() << "\n";
    return failed;
  } catch (const std::bad_alloc&) {
    std::cerr << "error: out of memory\n";
    return failed;
  } catch (const std::filesystem::filesystem_error& e) {
    std::cerr << "error: " << e.what()
              << "\nhelp: see to the path's owner, permissions and free space\n";
    return failed;
  } catch (const std::exception& e) {
    std::cerr << "error: internal: " << e.what()
              << "\nhelp: this is a fault in scorelab; please report it with the command and the "
                 "manifest\n";
    return internal;
  }
}
