#include <fmt/format.h>
#include <fmt/ranges.h>
#include <scorelab/error.h>

#include <cstdlib>
#include <iostream>
#include <memory>

#include "cli/command.h"
#include "cli/results.h"
#include "params/data_path.h"
#include "params/sha256.h"
#include "process/process.h"

namespace scorelab::cli {
namespace {

/// A file of a public data set, under the name that its plugin reads.
struct Piece {
  std::string name, sha256;
};
struct Set {
  std::string name, says, address;
  std::vector<Piece> pieces;
};

/// The checksums are those of the original files: MNIST by LeCun, Cortes & Burges; Fashion-MNIST by
/// Xiao, Rasul & Vollgraf 2017; CIFAR-10 by Krizhevsky 2009.
const std::vector<Set> sets{
    {"mnist",
     "70,000 handwritten digits, 28 x 28",
     "https://storage.googleapis.com/cvdf-datasets/mnist/",
     {{"train-images-idx3-ubyte.gz",
       "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609"},
      {"train-labels-idx1-ubyte.gz",
       "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c"},
      {"t10k-images-idx3-ubyte.gz",
       "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6"},
      {"t10k-labels-idx1-ubyte.gz",
       "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6"}}},
    {"fashion-mnist",
     "70,000 articles of clothing, 28 x 28",
     "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
     {{"train-images-idx3-ubyte.gz",
       "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84"},
      {"train-labels-idx1-ubyte.gz",
       "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845"},
      {"t10k-images-idx3-ubyte.gz",
       "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073"},
      {"t10k-labels-idx1-ubyte.gz",
       "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5"}}},
    {"cifar10",
     "60,000 colour photographs of ten classes, 32 x 32",
     "https://www.cs.toronto.edu/~kriz/",
     {{"cifar-10-binary.tar.gz",
       "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd"}}}};

bool is_whole(const fs::path& file, const Piece& piece) {
  return fs::is_regular_file(file) && sha256_file(file) == piece.sha256;
}

/// Where files are put: the first folder of the data path.
fs::path target() { return data_folders().front(); }

/// The folder that has what the plugins read, packed or not.
std::string where(const Set& set) {
  std::vector<std::string> files;
  for (const auto& piece : set.pieces)
    if (!piece.name.ends_with(".tar.gz"))
      files.push_back(piece.name.substr(0, piece.name.size() - std::string(".gz").size()));
  if (set.name == "cifar10") files = {"data_batch_5.bin", "test_batch.bin"};
  for (const auto& folder : data_folders())
    if (std::all_of(files.begin(), files.end(), [&](const std::string& f) {
          return fs::exists(folder / set.name / f) || fs::exists(folder / set.name / (f + ".gz"));
        }))
      return (folder / set.name).string();
  return "";
}

/// curl goes on where an interrupted transfer ended; what does not have the checksum is removed.
void fetch(const std::string& address, const fs::path& file, const Piece& piece) {
  if (is_whole(file, piece)) return;
  const fs::path part = file.string() + ".part";
  std::cerr << fmt::format("{} -> {}\n", address, file.string());
  const Ended ended =
      run_program({{"curl", "--fail", "--location", "--silent", "--show-error", "--retry", "3",
                    "--continue-at", "-", "--output", part.string(), "--", address},
                   "",
                   {},
                   {},
                   true});
  if (ended.code == 127)
    throw Error(
        "curl is not there; apt-get install curl, or see --help for how to put the files there by "
        "hand");
  // where all was there already the server refuses to go on
  const bool complete = is_whole(part, piece);
  if (!complete && ended.code != 0)
    throw Error(
        fmt::format("{} could not be fetched: {}what is there of it is kept in {}, and the same "
                    "command goes on from it. Without a network, copy the file to {}",
                    address, ended.output, part.string(), file.string()));
  if (!complete) {
    const std::string is = sha256_file(part);
    fs::remove(part);
    throw Error(fmt::format(
        "{} is not the file that it should be: its SHA-256 is {}, expected {}; it was removed",
        address, is, piece.sha256));
  }
  fs::rename(part, file);
}

void unpack(const fs::path& archive) {
  const Ended ended = run_program({{"tar", "-xzf", archive.string(), "--strip-components=1",
                                    "--no-same-owner", "-C", archive.parent_path().string()},
                                   "",
                                   {},
                                   {},
                                   true});
  if (ended.code != 0)
    throw Error(fmt::format("{} could not be unpacked: {}", archive.string(), ended.output));
}

int get(const std::string& name) {
  const auto set =
      std::find_if(sets.begin(), sets.end(), [&](const Set& s) { return s.name == name; });
  std::vector<std::string> names;
  for (const auto& s : sets) names.push_back(s.name);
  if (set == sets.end())
    throw CLI::ValidationError("SET", fmt::format("there is no set `{}`; {}", name,
                                                  manifest::suggestion(name, names, "sets")));
  const char* mirror = std::getenv("SCORELAB_DATA_MIRROR");
  const std::string from =
      mirror && *mirror ? std::string(mirror) + "/" + name + "/" : set->address;
  const fs::path folder = target() / name;
  fs::create_directories(folder);
  for (const auto& piece : set->pieces) {
    fetch(from + piece.name, folder / piece.name, piece);
    if (piece.name.ends_with(".tar.gz")) unpack(folder / piece.name);
  }
  std::cout << fmt::format("{} is in {}: every file has its SHA-256\n", name, folder.string());
  return done;
}

}  // namespace

void add_data(CLI::App& app, int& code) {
  auto* verb = app.add_subcommand(
      "data", "public data sets: which are there; data get NAME fetches one and verifies it");
  auto words = std::make_shared<std::vector<std::string>>();
  verb->add_option("get", *words,
                   "get NAME: into the first folder of the data path (SCORELAB_DATA)");
  verb->footer(
      "A transfer that was interrupted goes on. SCORELAB_DATA_MIRROR names another address with a "
      "folder for each set. Without a network, copy the files\ninto a folder NAME below one of the "
      "data path; `scorelab data` shows the path.");
  verb->callback([=, &code] {
    if (words->size() == 2 && words->front() == "get") return void(code = get(words->back()));
    if (!words->empty()) throw CLI::ValidationError("data", "takes nothing, or get NAME");
    for (const auto& s : sets) {
      const std::string place = where(s);
      std::cout << fmt::format("{:<14} {:<50} {}\n", s.name, s.says,
                               place.empty() ? "not there: scorelab data get " + s.name : place);
    }
    std::cout << fmt::format("data path: {}\n", fmt::join(
                                                    [] {
                                                      std::vector<std::string> out;
                                                      for (const auto& f : data_folders())
                                                        out.push_back(f.string());
                                                      return out;
                                                    }(),
                                                    ":"));
    code = done;
  });
}

}  // namespace scorelab::cli
