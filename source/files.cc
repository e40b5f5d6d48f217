#include "source/files.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <map>
#include <set>
#include <utility>

#include "base/fd.h"
#include "source/watch.h"

namespace weft::source {
namespace {

namespace fs = std::filesystem;

// Tells a file from its earlier self without reading it.
struct Stamp {
  ino_t inode = 0;
  off_t size = 0;
  timespec changed{};
  bool operator==(const Stamp& other) const {
    return inode == other.inode && size == other.size && changed.tv_sec == other.changed.tv_sec &&
           changed.tv_nsec == other.changed.tv_nsec;
  }
};

struct Content {
  Stamp stamp;
  std::string text;
};

// nullopt with ENOENT: the file is gone. Other errors: it is there but cannot be read.
std::optional<Content> read_file(const std::string& path, int& error) {
  error = 0;
  const Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  struct stat status{};
  if (!fd || ::fstat(fd.get(), &status) != 0) {
    error = errno;
    return std::nullopt;
  }
  if (!S_ISREG(status.st_mode)) {
    error = EINVAL;
    return std::nullopt;
  }
  Content content{.stamp = {status.st_ino, status.st_size, status.st_ctim}};
  content.text.resize(
      std::min<std::size_t>(static_cast<std::size_t>(status.st_size), kMaxBytes + 1));
  std::size_t filled = 0;
  while (filled < content.text.size()) {
    const ssize_t got =
        ::read(fd.get(), content.text.data() + filled, content.text.size() - filled);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) {
      error = errno;
      return std::nullopt;
    }
    if (got == 0) break;
    filled += static_cast<std::size_t>(got);
  }
  content.text.resize(filled);
  return content;
}

}  // namespace

class FilesSource::State {
 public:
  State(FilesOptions options, std::unique_ptr<Watch> watch)
      : options(std::move(options)), watch(std::move(watch)) {}

  // Looks at the whole tree; files whose stamp is unchanged are not read.
  void list_tree();
  // Looks at one file, which may be gone.
  void look(const std::string& path);
  // Brings `objects` and `problems` in line with the files.
  void settle();

  FilesOptions options;
  std::unique_ptr<Watch> watch;
  ObjectSet objects;
  std::vector<FileProblem> problems;
  std::uint64_t generation = 0;
  std::map<ObjectKey, ObjectPtr> changed;  // since the last poll(); null: deleted

 private:
  struct File {
    Stamp stamp;
    std::vector<ObjectPtr> held;
  };
  void replace(const std::string& path, File& file, std::vector<ObjectPtr> now);
  std::optional<std::string> load(const std::string& path, std::string_view text,
                                  std::vector<ObjectPtr>& out) const;
  void settle_key(const ObjectKey& key);

  std::map<std::string, File> files_;
  std::map<std::string, std::string> broken_;                         // by path
  std::map<ObjectKey, std::map<std::string, ObjectPtr>> candidates_;  // by path: the first wins
  std::set<ObjectKey> contested_;                                     // more than one candidate
  std::set<ObjectKey> touched_;
};

void FilesSource::State::list_tree() {
  std::set<std::string> seen;
  bool complete = watch->add(options.directory);
  std::error_code error;
  auto walk = fs::recursive_directory_iterator(
      options.directory, fs::directory_options::skip_permission_denied, error);
  for (; !error && walk != fs::recursive_directory_iterator(); walk.increment(error)) {
    const std::string name = walk->path().filename();
    std::error_code ignored;
    if (walk->symlink_status(ignored).type() == fs::file_type::directory) {
      if (name.starts_with(".") || walk.depth() >= 16) {
        walk.disable_recursion_pending();
      } else {
        watch->add(walk->path());
      }
    } else if (is_manifest_name(name)) {
      seen.insert(walk->path());
    }
  }
  complete = complete && !error;
  broken_.erase(options.directory);
  if (!complete) broken_[options.directory] = options.directory + ": document: cannot be listed";
  for (const std::string& path : seen) {
    struct stat status{};
    const auto known = files_.find(path);
    const bool same = known != files_.end() && ::stat(path.c_str(), &status) == 0 &&
                      known->second.stamp == Stamp{status.st_ino, status.st_size, status.st_ctim};
    if (!same) look(path);
  }
  if (!complete) return;
  std::vector<std::string> gone;
  for (const auto& [path, file] : files_) {
    if (!seen.contains(path)) gone.push_back(path);
  }
  for (const std::string& path : gone) look(path);
}

void FilesSource::State::look(const std::string& path) {
  int error = 0;
  const auto content = read_file(path, error);
  if (!content && (error == ENOENT || error == ENOTDIR)) {
    const auto known = files_.find(path);
    if (known != files_.end()) {
      replace(path, known->second, {});
      files_.erase(known);
    }
    broken_.erase(path);
    return;
  }
  File& file = files_[path];
  if (!content) {
    broken_[path] = path + ": document: cannot be read: " + std::strerror(error);
    return;
  }
  file.stamp = content->stamp;
  std::vector<ObjectPtr> now;
  if (auto bad = load(path, content->text, now)) {
    broken_[path] = *bad;
    return;
  }
  broken_.erase(path);
  replace(path, file, std::move(now));
}

std::optional<std::string> FilesSource::State::load(const std::string& path, std::string_view text,
                                                    std::vector<ObjectPtr>& out) const {
  auto parsed = parse_manifest(text, path);
  if (!parsed) return parsed.error().text;
  for (const ObjectPtr& object : *parsed) {
    if (!options.admit) break;
    if (auto bad = options.admit(*object)) return bad->text;
  }
  out = std::move(*parsed);
  return std::nullopt;
}

void FilesSource::State::replace(const std::string& path, File& file, std::vector<ObjectPtr> now) {
  for (const ObjectPtr& object : file.held) {
    auto& holders = candidates_[object->key()];
    holders.erase(path);
    touched_.insert(object->key());
  }
  for (const ObjectPtr& object : now) {
    candidates_[object->key()][path] = object;
    touched_.insert(object->key());
  }
  file.held = std::move(now);
}

void FilesSource::State::settle_key(const ObjectKey& key) {
  const auto found = candidates_.find(key);
  if (found == candidates_.end() || found->second.empty()) {
    candidates_.erase(key);
    contested_.erase(key);
    if (objects.erase(key) > 0) changed[key] = nullptr;
    return;
  }
  if (found->second.size() > 1) {
    contested_.insert(key);
  } else {
    contested_.erase(key);
  }
  ObjectPtr& held = objects[key];
  const ObjectPtr& winner = found->second.begin()->second;
  if (!held || held->hash != winner->hash) changed[key] = winner;
  held = winner;
}

void FilesSource::State::settle() {
  for (const ObjectKey& key : std::exchange(touched_, {})) settle_key(key);
  std::vector<FileProblem> now;
  for (const auto& [path, text] : broken_) now.push_back({path, text});
  for (const ObjectKey& key : contested_) {
    const auto& holders = candidates_[key];
    for (auto loser = std::next(holders.begin()); loser != holders.end(); ++loser) {
      now.push_back({loser->first, loser->second->at("metadata.name") +
                                       ": metadata.name: " + key.str() + " is ignored here, " +
                                       holders.begin()->second->origin +
                                       " has it too and comes first"});
    }
  }
  if (now == problems) return;
  problems = std::move(now);
  ++generation;
}

FilesSource::FilesSource(std::unique_ptr<State> state) : state_(std::move(state)) {}
FilesSource::~FilesSource() = default;

Parsed<std::unique_ptr<FilesSource>> FilesSource::open(FilesOptions options) {
  while (options.directory.size() > 1 && options.directory.ends_with('/'))
    options.directory.pop_back();
  auto watch = Watch::open(options.directory, {options.quiet, options.cap, options.resync});
  if (!watch) return std::unexpected(watch.error());
  std::unique_ptr<FilesSource> source(
      new FilesSource(std::make_unique<State>(std::move(options), std::move(*watch))));
  source->state_->list_tree();
  source->state_->settle();
  return source;
}

int FilesSource::fd() const { return state_->watch->fd(); }

Batch FilesSource::poll() {
  Changes changes;
  if (state_->watch->take(changes)) {
    if (changes.everything) state_->list_tree();
    for (const std::string& path : changes.files) state_->look(path);
    state_->settle();
  }
  Batch batch;
  for (auto& [key, object] : std::exchange(state_->changed, {})) {
    if (object) {
      batch.upserts.push_back(std::move(object));
    } else {
      batch.deletes.push_back(key);
    }
  }
  return batch;
}

const ObjectSet& FilesSource::objects() const { return state_->objects; }
const std::vector<FileProblem>& FilesSource::problems() const { return state_->problems; }
std::uint64_t FilesSource::problems_generation() const { return state_->generation; }

}  // namespace weft::source
