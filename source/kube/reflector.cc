#include "source/kube/reflector.h"

#include <algorithm>
#include <nlohmann/json.hpp>

namespace weft::source::kube {
namespace {

using nlohmann::json;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr std::size_t kChunk = 500;
constexpr milliseconds kFirstWait{200};
constexpr seconds kAwayMost{2};  // the API server does not answer: soon after it is back, so are we
constexpr seconds kBusyMost{2};  // it, or what stands before it, says: not now (429, 503)
constexpr seconds kRefusedMost{30};  // it answers, and says no
constexpr seconds kMissingWait{10};  // a group that is not installed
constexpr seconds kRetryAfterMost{60};

seconds longest_wait(int status) {
  if (status == 0) return kAwayMost;
  return status == 429 || status == 503 ? kBusyMost : kRefusedMost;
}

std::string text_of(const json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>() : "";
}

const json& member(const json& object, const char* key) {
  static const json kNone = json::object();
  const auto found = object.find(key);
  return found != object.end() && found->is_object() ? *found : kNone;
}

std::string url_encoded(std::string_view text) {
  constexpr char kHex[] = "0123456789ABCDEF";
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    const bool plain = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                       c == '-' || c == '_' || c == '.';
    if (plain) {
      out += c;
    } else {
      out.append({'%', kHex[byte >> 4], kHex[byte & 15]});
    }
  }
  return out;
}

// What nobody reads, and what changes with every write of a status.
void strip(json& object) {
  json& metadata = object["metadata"];
  for (const char* one : {"managedFields", "resourceVersion", "selfLink"}) metadata.erase(one);
  const auto annotations = metadata.find("annotations");
  if (annotations != metadata.end() && annotations->is_object())
    annotations->erase("kubectl.kubernetes.io/last-applied-configuration");
}

}  // namespace

Reflector::Reflector(Resource resource, std::uint64_t seed)
    : resource_(std::move(resource)), random_(seed) {}

Request Reflector::next() {
  buffer_.clear();
  bad_.clear();
  heard_ = expired_ = false;
  std::string path = resource_.path(version_);
  const std::string selector = resource_.selector.empty() ? "" : "&" + resource_.selector;
  if (state_ == State::kListing) {
    path += "?limit=" + std::to_string(kChunk) + selector;
    if (!continue_.empty()) path += "&continue=" + url_encoded(continue_);
    return {.path = std::move(path), .watch = false, .limit = seconds(60)};
  }
  const std::chrono::seconds life(60 + static_cast<long>(random_() % 31));
  path += "?watch=1&allowWatchBookmarks=true&resourceVersion=" + url_encoded(resource_version_) +
          "&timeoutSeconds=" + std::to_string(life.count()) + selector;
  return {.path = std::move(path), .watch = true, .limit = life + seconds(10)};
}

bool Reflector::body(long status, std::string_view bytes) {
  if (!bad_.empty()) return false;
  if (status != 200) {  // a Status for people
    buffer_.append(bytes.substr(0, 4096 - std::min<std::size_t>(buffer_.size(), 4096)));
    return true;
  }
  const std::size_t most = state_ == State::kListing ? kListMax : kLineMax;
  while (state_ == State::kWatching && !bytes.empty()) {
    const std::size_t end = bytes.find('\n');
    if (end == std::string_view::npos) break;
    if (buffer_.size() + end > most) break;
    buffer_.append(bytes.substr(0, end));
    bytes.remove_prefix(end + 1);
    const bool good = buffer_.empty() || line(buffer_);
    buffer_.clear();
    if (!good) return false;
  }
  if (buffer_.size() + bytes.size() > most) {
    bad_ = "an answer larger than " + std::to_string(most) + " bytes";
    return false;
  }
  buffer_.append(bytes);
  return true;
}

bool Reflector::line(std::string_view text) {
  auto parsed = reader_.read(text, kLineMax);
  if (!parsed || !parsed->is_object()) {
    bad_ = "a watch event that is no JSON object" + (parsed ? "" : ": " + parsed.error().text);
    return false;
  }
  json& object = (*parsed)["object"];
  if (!object.is_object()) {
    bad_ = "a watch event without an object";
    return false;
  }
  return event(text_of(*parsed, "type"), object);
}

bool Reflector::event(const std::string& type, json& object) {
  if (type == "ERROR") {
    const auto code = object.find("code");
    bad_ = "the watch was ended: " + text_of(object, "message").substr(0, 300);
    if (code != object.end() && code->is_number_integer() && code->get<std::int64_t>() == 410)
      expired_ = true;
    return false;
  }
  const json& metadata = member(object, "metadata");
  const std::string version = text_of(metadata, "resourceVersion");
  if (version.empty()) {
    bad_ = "a watch event without metadata.resourceVersion";
    return false;
  }
  if (type == "DELETED") {
    remove({text_of(metadata, "namespace"), text_of(metadata, "name")});
  } else if (type == "ADDED" || type == "MODIFIED") {
    if (!put(std::move(object))) return false;
  } else if (type != "BOOKMARK") {
    bad_ = "a watch event of unknown type \"" + type.substr(0, 40) + "\"";
    return false;
  }
  resource_version_ = version;
  heard_ = true;
  trouble_.clear();
  return true;
}

bool Reflector::put(json object) {
  const json& metadata = member(object, "metadata");
  const Name name{text_of(metadata, "namespace"), text_of(metadata, "name")};
  if (name.second.empty()) {
    bad_ = "an object without metadata.name";
    return false;
  }
  object["apiVersion"] = resource_.api_version(version_);
  object["kind"] = resource_.kind;
  strip(object);
  Item item{.key = {resource_.key_kind(), name.first, name.second}, .object = {}, .problem = {}};
  auto made = make_object(std::move(object), "kubernetes " + item.key.str());
  if (made && (*made)->key() == item.key) {
    item.object = std::move(*made);
  } else {
    item.problem = made ? Problem{"kubernetes " + item.key.str() + ": metadata.namespace: missing"}
                        : made.error();
  }
  (state_ == State::kListing ? listed_ : held_).insert(name);
  items_.push_back(std::move(item));
  return true;
}

void Reflector::remove(const Name& name) {
  held_.erase(name);
  items_.push_back(
      {.key = {resource_.key_kind(), name.first, name.second}, .object = {}, .problem = {}});
}

// One chunk. Its objects are handed out at once (they are newer than what is held); what is gone is
// known with the last one.
bool Reflector::take_list() {
  auto parsed = reader_.read(buffer_, kListMax);
  buffer_ = {};
  if (!parsed || !parsed->is_object() || !parsed->contains("items")) {
    bad_ = "a list that is none" + (parsed ? "" : ": " + parsed.error().text);
    return false;
  }
  json& items = (*parsed)["items"];
  const json& metadata = member(*parsed, "metadata");
  const std::string version = text_of(metadata, "resourceVersion");
  if (version.empty() || !(items.is_array() || items.is_null())) {
    bad_ = "a list without metadata.resourceVersion or items";
    return false;
  }
  for (json& item : items) {
    if (!item.is_object()) {
      bad_ = "a list with an item that is no object";
      return false;
    }
    if (!put(std::move(item))) return false;
  }
  continue_ = text_of(metadata, "continue");
  resource_version_ = version;
  return true;
}

void Reflector::relist() {
  state_ = State::kListing;
  continue_.clear();
  listed_.clear();
  version_ = 0;
}

Clock::duration Reflector::jittered(Clock::duration about) {
  return about / 2 + Clock::duration(static_cast<Clock::rep>(
                         random_() % static_cast<std::uint64_t>(about.count() + 1)));
}

void Reflector::wait(const Answer& answer, Clock::duration most, Clock::time_point now) {
  const auto doubled = kFirstWait * (1 << std::min(failures_, 8u));
  ++failures_;
  const auto asked = std::min<Clock::duration>(answer.retry_after, kRetryAfterMost);
  due_ = now + std::max(asked, jittered(std::min<Clock::duration>(doubled, most)));
}

std::string Reflector::describe(const Answer& answer) const {
  std::string out = "kubernetes " + resource_.path(version_) + ": ";
  if (!bad_.empty()) return out + bad_;
  if (answer.status == 0) return out + (answer.error.empty() ? "no answer" : answer.error);
  if (answer.status == 200) return out + "the answer was cut off";
  return out + "HTTP " + std::to_string(answer.status) + " " + buffer_.substr(0, 300);
}

void Reflector::end(const Answer& answer, Clock::time_point now) {
  state_ == State::kListing ? end_list(answer, now) : end_watch(answer, now);
}

void Reflector::end_list(const Answer& answer, Clock::time_point now) {
  if (answer.status == 404) return not_served(now);
  missing_ = 0;
  if (answer.status == 200 && answer.complete && bad_.empty() && take_list()) {
    due_ = now;
    failures_ = 0;
    trouble_.clear();
    if (!continue_.empty()) return;
    std::vector<Name> gone;
    std::set_difference(held_.begin(), held_.end(), listed_.begin(), listed_.end(),
                        std::back_inserter(gone));
    for (const Name& name : gone) remove(name);
    held_ = std::exchange(listed_, {});
    synced_ = true;
    ++lists_;
    state_ = State::kWatching;
    return;
  }
  trouble_ = describe(answer);
  if (answer.status == 410 || !bad_.empty()) {  // 410: the continue token is too old
    held_.insert(listed_.begin(), listed_.end());
    relist();
  }
  wait(answer, longest_wait(answer.status), now);
}

// 404: this version is not served. When none is, and it is said twice, the resource is empty.
void Reflector::not_served(Clock::time_point now) {
  held_.insert(listed_.begin(), listed_.end());
  continue_.clear();
  listed_.clear();
  due_ = now;
  if (++version_ < resource_.versions.size()) return;
  version_ = 0;
  trouble_.clear();
  const bool believed = held_.empty() || ++missing_ > 1;
  due_ = now + jittered(believed ? Clock::duration(kMissingWait) : Clock::duration(seconds(1)));
  if (!believed) return;
  for (const Name& name : std::set<Name>(held_)) remove(name);
  synced_ = true;
}

void Reflector::end_watch(const Answer& answer, Clock::time_point now) {
  if (answer.status == 200 && bad_.empty()) {  // ended or cut; a half line is not lost, only late
    if (heard_ || answer.complete) failures_ = 0;
    due_ = now + jittered(milliseconds(20));
    if (!heard_ && !answer.complete) wait(answer, kAwayMost, now);
    return;
  }
  trouble_ = describe(answer);
  const bool expired = answer.status == 410 || expired_;
  const bool lost = expired || answer.status == 200 || answer.status == 404 ||
                    answer.status == 400 || answer.status == 504;
  if (lost) relist();
  wait(answer, longest_wait(answer.status), now);
  if (expired) due_ = now + jittered(milliseconds(500));  // it lives, we were too slow
}

}  // namespace weft::source::kube
