#include <fmt/format.h>

#include <iostream>

#include "cli/command.h"

namespace scorelab::cli {

void add_check(CLI::App& app, int& code) {
  auto* verb = app.add_subcommand("check", "check a manifest to the last key; nothing is started");
  auto arguments = std::make_shared<ManifestArguments>();
  auto json = std::make_shared<bool>(false);
  arguments->add(*verb);
  verb->add_flag("--json", *json, "problems as JSON on stdout");
  verb->callback([=, &code] {
    Loaded loaded;
    code = load_manifest(*arguments, *json, loaded);
    if (code != done) return;
    if (*json)
      std::cout << Json{{"schema", 1}, {"ok", true}, {"problems", Json::array()}}.dump(1) << "\n";
    else
      std::cout << fmt::format("{}: no problems\n", arguments->file);
  });
}

}  // namespace scorelab::cli
