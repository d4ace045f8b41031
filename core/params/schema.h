#pragma once
#include <scorelab/component.h>

#include <functional>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

namespace scorelab::schema {
/// A JSON value that lacks a key which was asked for, or has another shape.
class Misshapen : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};
}  // namespace scorelab::schema

// The library asserts that a key is there; what comes from a file may lack it, which must not end
// the program.
#define JSON_ASSERT(expression)                      \
  ((expression) ? static_cast<void>(0)               \
                : throw scorelab::schema::Misshapen( \
                      "a key that was asked for is not there (" #expression ")"))
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wterminate"
#include <nlohmann/json.hpp>
#pragma GCC diagnostic pop

/// What a component declared, as data: the form in which schemas are cached, listed and checked
/// without loading a plugin.
namespace scorelab::schema {

using Json = nlohmann::json;

struct Param {
  /// type: bool, int, float, string, floats, ints, strings, matrix, number-or-word, model or slot.
  /// slot: the kind that a slot holds; of a model, what its network must give.
  std::string name, doc, type, unit, slot;
  Json initial;  ///< the default; null where one must be given
  std::optional<double> low, high;
  std::vector<std::string> words;
  std::vector<When> whens;
  bool file = false, required = false, reporting = false;
  std::string former;  ///< an earlier name
  std::string group;   ///< the shared group that declares it; empty: its own
};

struct Ability {
  std::string name, reason, role;
  std::vector<When> whens;
};

struct Read {
  std::string name;
  bool optional = false;
  std::vector<When> whens;
};

struct Preset {
  std::string name, doc;
  Json values = Json::object();  ///< of the parameters that it sets
};

struct Schema {
  std::vector<Param> params;  ///< with `preset`, where there are presets
  std::vector<Ability> needs, gives;
  std::vector<Read> reads;  ///< files below the data path
  std::vector<Preset> presets;
  const Param* find(const std::string& name) const;
};

/// Reads what a component declares; its members hold the defaults, before and after.
Schema of(const Params& params);

/// That of a manifest's table, such as TrainOptions.
template <class Options>
Schema of_table() {
  Options options;
  Params p;
  options.params(p);
  return of(p);
}
Json to_json(const Schema& schema);
Schema from_json(const Json& json);

/// Writes a value of the declared type into a member; `component` makes what a slot holds. Throws
/// Error.
using MakeComponent =
    std::function<std::shared_ptr<Component>(const std::string& kind, const Json& config)>;
void assign(Spec& spec, const Json& value, const MakeComponent& component);

/// A value as conditions compare it: words as they are, a slot by its plugin's name, the rest as
/// JSON.
std::string text(const Json& value);
/// Whether all conditions hold, given the values of the other parameters.
bool holds(const std::vector<When>& whens, const Json& values);
/// The conditions in words: `solver = "rk45"`.
std::string words(const std::vector<When>& whens);

}  // namespace scorelab::schema
