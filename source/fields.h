// Typed reads of an object's body. The first thing that is wrong is kept with file, line, field
// path and value; later reads give defaults, so a decoder reads straight down and looks at
// problem() once, at its end.
#pragma once

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/net.h"
#include "base/result.h"
#include "mesh/labels.h"
#include "source/object.h"

namespace weft::source {

class Reader;

// One place in the body. Cheap to copy; REQUIRES: the Reader outlives it.
class Field {
 public:
  bool present() const { return value_ != nullptr; }  // null counts as absent
  const std::string& path() const { return path_; }

  // A member; absent when this is absent; a problem when this is no map.
  Field operator[](std::string_view key) const;
  // Elements in order; empty when absent; a problem when this is no list.
  std::vector<Field> list() const;
  // Member names; empty when absent; a problem when this is no map.
  std::vector<std::string> keys() const;
  // A problem when a member is none of these: a field we would silently not obey. Says where the
  // field belongs when an outer `only` knows it (so call it from the outside in), or a likely name.
  void only(std::initializer_list<std::string_view> known) const;

  std::string string(std::string_view otherwise = "") const;
  bool boolean(bool otherwise = false) const;
  double number(double otherwise = 0) const;
  std::int64_t integer(std::int64_t least, std::int64_t most, std::int64_t otherwise = 0) const;
  std::uint16_t port(std::uint16_t otherwise = 0) const;  // 1…65535, a number
  std::uint16_t port_text() const;                        // the same as a string: "8080"
  mesh::Labels string_map() const;
  std::vector<std::string> strings() const;  // a list of strings
  IpAddress ip() const;                      // a string; unset when absent
  bool is_string() const;
  bool is_number() const;  // a whole one
  bool is_map() const;
  bool is_list() const;

  // The value as JSON, cut at 80 characters; "" when absent.
  std::string shown() const;
  // Records "expected …, got VALUE" at this place.
  void refuse(std::string_view why) const;

 private:
  friend class Reader;
  Field(Reader* reader, const nlohmann::json* value, std::string path)
      : reader_(reader), value_(value), path_(std::move(path)) {}
  Reader* reader_;
  const nlohmann::json* value_;
  std::string path_;
};

class Reader {
 public:
  explicit Reader(const Object& object) : object_(object) {}
  Field root();
  const Object& object() const { return object_; }
  const std::optional<Problem>& problem() const { return problem_; }
  // "file:line: field: why, got value" unless there is a problem already.
  void refuse(std::string_view path, const nlohmann::json* value, std::string_view why);

 private:
  friend class Field;
  // Maps whose fields were checked: what each may hold.
  struct Known {
    const nlohmann::json* value;
    std::vector<std::string> fields;
  };
  // Where an unknown member of `parent` may belong; "" when nobody knows.
  std::string suggest(std::string_view parent, std::string_view name) const;

  const Object& object_;
  std::optional<Problem> problem_;
  std::map<std::string, Known, std::less<>> known_;  // by path
};

}  // namespace weft::source
