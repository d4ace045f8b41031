#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <fstream>
#include <iostream>
#include <sstream>

#include "catalog/trust.h"
#include "cli/command.h"

namespace scorelab::cli {
namespace {

const std::vector<std::string> kinds{"sampler", "step",    "scheduler", "network", "objective",
                                     "guide",   "initial", "dataset",   "space",   "metric"};

std::string whole(const fs::path& file) {
  std::ifstream in(file);
  if (!in)
    throw Error(fmt::format("{} is missing: this scorelab was not installed whole", file.string()));
  std::stringstream out;
  out << in.rdbuf();
  return out.str();
}

std::string replaced(std::string text, const std::string& what, const std::string& by) {
  for (std::size_t i = 0; (i = text.find(what, i)) != text.npos; i += by.size())
    text.replace(i, what.size(), by);
  return text;
}

/// `my-sampler` -> `MySampler`.
std::string class_name(const std::string& name) {
  std::string out;
  bool upper = true;
  for (const char c : name) {
    if (c != '-') out += upper ? static_cast<char>(std::toupper(static_cast<unsigned char>(c))) : c;
    upper = c == '-';
  }
  return out;
}

int write_project(const std::string& kind, const std::string& name, const fs::path& folder) {
  const bool plain = !name.empty() && std::islower(static_cast<unsigned char>(name[0])) &&
                     name.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789-") == name.npos &&
                     name.back() != '-' && name.find("--") == name.npos;
  if (!plain)
    throw CLI::ValidationError(
        "NAME",
        fmt::format(
            "`{}` is no name for a plugin: small letters, digits and dashes, a letter first",
            name));
  auto catalog = open_catalog({});
  for (const auto& e : catalog.entries())
    if (e.stamp.name == name)
      throw CLI::ValidationError(
          "NAME", fmt::format("`{}` is {} of scorelab's own; choose another name", name,
                              catalog::with_article(e.stamp.kind)));
  if (fs::exists(folder) && !fs::is_empty(folder))
    throw CLI::ValidationError("DIR", fmt::format("{} is not empty", folder.string()));
  const fs::path from = catalog::shared_files() / "template";
  fs::create_directories(folder);
  for (const auto& [source, target] :
       {std::pair{std::string("CMakeLists.in"), std::string("CMakeLists.txt")},
        {kind + ".cpp", name + ".cpp"},
        {kind + ".toml", name + ".toml"}})
    std::ofstream(folder / target)
        << replaced(replaced(whole(from / source), "Template", class_name(name)), "template", name);
  catalog::trust(folder / "build");
  std::cout << fmt::format(
      "{0}/{1}.cpp   the {2}: {3} lines to change\n{0}/{1}.toml  an experiment with it\n\n  cd "
      "{0}\n  cmake -B build -DCMAKE_PREFIX_PATH={4}\n"
      "  cmake --build build                 # again after each change\n  {5} certify "
      "build/{1}.so\n  {5} run {1}.toml\n",
      folder.string(), name, kind, std::ranges::count(whole(folder / (name + ".cpp")), '\n'),
      catalog::prefix().string(), (catalog::prefix() / "bin/scorelab").string());
  return done;
}

}  // namespace

void add_new(CLI::App& app, int& code) {
  auto* verb = app.add_subcommand(
      "new", "a plugin of your own: its source, ten lines of CMake and an experiment that uses it");
  auto kind = std::make_shared<std::string>(), name = std::make_shared<std::string>(),
       folder = std::make_shared<std::string>();
  verb->add_option("kind", *kind, fmt::format("{}", fmt::join(kinds, ", ")))->required();
  verb->add_option("name", *name, "its name in manifests: small letters, digits and dashes")
      ->required();
  verb->add_option("dir", *folder, "the project's folder; by default NAME");
  verb->callback([=, &code] {
    if (std::find(kinds.begin(), kinds.end(), *kind) == kinds.end()) {
      const std::string near = manifest::nearest(*kind, kinds);
      throw CLI::ValidationError(
          "kind", fmt::format("there is no kind `{}`{}; kinds: {}", *kind,
                              near.empty() ? "" : fmt::format("; did you mean `{}`?", near),
                              fmt::join(kinds, ", ")));
    }
    code = write_project(*kind, *name, folder->empty() ? *name : *folder);
  });
}

}  // namespace scorelab::cli
