#include "stamp.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <gelf.h>
#include <libelf.h>
#include <scorelab/error.h>
#include <scorelab/version.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <string_view>

#include "catalog/sdk_hash.h"

namespace scorelab::catalog {
namespace {

struct File {
  explicit File(const std::filesystem::path& path) : fd(open(path.c_str(), O_RDONLY | O_CLOEXEC)) {}
  ~File() {
    if (elf) elf_end(elf);
    if (fd >= 0) close(fd);
  }
  int fd;
  Elf* elf = nullptr;
};

std::string section_text(const std::filesystem::path& path) {
  if (!std::filesystem::is_regular_file(path)) throw Error("is no regular file");
  File file(path);
  if (file.fd < 0) throw Error(fmt::format("cannot be opened: {}", std::strerror(errno)));
  elf_version(EV_CURRENT);
  file.elf = elf_begin(file.fd, ELF_C_READ, nullptr);
  GElf_Ehdr header;
  if (!file.elf || elf_kind(file.elf) != ELF_K_ELF || !gelf_getehdr(file.elf, &header))
    throw Error("is not an ELF file: a plugin is a shared library");
  const auto size = static_cast<std::uint64_t>(std::max<off_t>(0, lseek(file.fd, 0, SEEK_END)));
  const std::uint64_t table = std::uint64_t{header.e_shentsize} * header.e_shnum;
  if (header.e_shoff == 0 || header.e_shoff > size || table > size - header.e_shoff)
    throw Error(
        fmt::format("is truncated: its section table of {} bytes begins at byte {}, and the file "
                    "ends at {}; build or copy it again",
                    table, header.e_shoff, size));
  std::size_t names = 0;
  if (elf_getshdrstrndx(file.elf, &names) != 0) throw Error("is damaged: it has no section names");
  for (Elf_Scn* section = nullptr; (section = elf_nextscn(file.elf, section));) {
    GElf_Shdr sh;
    if (!gelf_getshdr(section, &sh)) continue;
    const char* name = elf_strptr(file.elf, names, sh.sh_name);
    if (!name || std::strcmp(name, "scorelab") != 0) continue;
    const Elf_Data* data = elf_rawdata(section, nullptr);
    if (!data || !data->d_buf) break;
    return std::string(static_cast<const char*>(data->d_buf), data->d_size);
  }
  throw Error(
      "is no scorelab plugin: it has no stamp (SCORELAB_PLUGIN at the end of its source makes "
      "one)");
}

}  // namespace

Stamp read_stamp(const std::filesystem::path& file) {
  const std::string text = section_text(file);
  std::map<std::string, std::string, std::less<>> fields;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = std::min(text.find('\0', begin), text.size());
    const std::string_view record(text.data() + begin, end - begin);
    if (const auto equals = record.find('='); equals != record.npos)
      fields.emplace(record.substr(0, equals), record.substr(equals + 1));
    begin = end + 1;
  }
  if (std::any_of(text.begin(), text.end(), [](char c) { return c != 0 && (c < 32 || c == 127); }))
    throw Error("has a stamp with bytes that are no text (ASCII); build it again");
  if (text.find("scorelab-plugin") == text.npos || fields["kind"].empty() || fields["name"].empty())
    throw Error("has a stamp without kind or name; build it again");
  const std::string& name = fields["name"];
  if (name.size() > 64 ||
      name.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-") !=
          name.npos)
    throw Error(
        fmt::format("has the name `{}`; a plugin's name has letters, digits and dashes, at most 64",
                    name.substr(0, 100)));
  return {fields["kind"],     fields["name"],   fields["version"],  fields["summary"],
          fields["api"],      fields["torch"],  fields["cxx11abi"], fields["gxxabi"],
          fields["compiler"], fields["source"], fields["sdk"]};
}

std::vector<std::string> exported_symbols(const std::filesystem::path& path) {
  File file(path);
  if (file.fd < 0) throw Error(fmt::format("cannot be opened: {}", std::strerror(errno)));
  elf_version(EV_CURRENT);
  file.elf = elf_begin(file.fd, ELF_C_READ, nullptr);
  std::vector<std::string> out;
  for (Elf_Scn* section = nullptr; file.elf && (section = elf_nextscn(file.elf, section));) {
    GElf_Shdr sh;
    if (!gelf_getshdr(section, &sh) || sh.sh_type != SHT_DYNSYM || sh.sh_entsize == 0) continue;
    Elf_Data* data = elf_getdata(section, nullptr);
    for (std::size_t i = 0; data && i < sh.sh_size / sh.sh_entsize; ++i) {
      GElf_Sym symbol;
      if (!gelf_getsym(data, static_cast<int>(i), &symbol) || symbol.st_shndx == SHN_UNDEF ||
          GELF_ST_BIND(symbol.st_info) == STB_LOCAL)
        continue;
      if (const char* name = elf_strptr(file.elf, sh.sh_link, symbol.st_name); name && *name)
        out.emplace_back(name);
    }
  }
  std::sort(out.begin(), out.end());
  return out;
}

std::string mismatch(const Stamp& s) {
  const std::string rebuild =
      "; build the plugin again with this scorelab: cmake --build FOLDER --clean-first";
  if (s.api != std::to_string(SCORELAB_API_VERSION))
    return fmt::format("was built for plugin API {}, this scorelab has {}{}", s.api,
                       SCORELAB_API_VERSION, rebuild);
  if (!s.sdk.empty() && s.sdk != SCORELAB_SDK_HASH)  // stamps that are written by hand have none
    return fmt::format("was built with other headers of the SDK than this scorelab's{}", rebuild);
  if (s.torch != SCORELAB_TORCH_VERSION)
    return fmt::format("was built for LibTorch {}, this scorelab uses {}{}", s.torch,
                       SCORELAB_TORCH_VERSION, rebuild);
  const std::string abi = std::to_string(_GLIBCXX_USE_CXX11_ABI),
                    gxx = std::to_string(__GXX_ABI_VERSION);
  if (s.cxx11abi != abi || s.gxxabi != gxx)
    return fmt::format("was built for C++ ABI {}/{}, this scorelab has {}/{}{}", s.cxx11abi,
                       s.gxxabi, abi, gxx, rebuild);
  return "";
}

}  // namespace scorelab::catalog
