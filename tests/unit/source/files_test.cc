#include "source/files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "source/core.h"

namespace weft::source {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class Files : public testing::Test {
 protected:
  Files() {
    char name[] = "/tmp/weft-files-XXXXXX";
    root_ = ::mkdtemp(name);
  }
  ~Files() override { fs::remove_all(root_); }

  void open(Clock::duration resync = 30s) {
    auto opened = FilesSource::open({.directory = root_, .admit = admit_core, .resync = resync});
    ASSERT_TRUE(opened) << opened.error().text;
    source_ = std::move(*opened);
  }
  // As writers do it: a temporary name, then rename.
  void write(const std::string& name, const std::string& text) {
    fs::create_directories((root_ / name).parent_path());
    std::ofstream(root_ / (name + ".tmp")) << text;
    fs::rename(root_ / (name + ".tmp"), root_ / name);
  }
  static std::string pod(const std::string& name, const std::string& ip = "10.0.0.1") {
    return "apiVersion: v1\nkind: Pod\nmetadata: {name: " + name + "}\nstatus: {podIP: " + ip +
           "}\n";
  }
  // Drives the source from its descriptor until something changed or `wait` is over.
  Batch next(std::chrono::milliseconds wait = 2000ms) {
    const auto until = Clock::now() + wait;
    const std::uint64_t problems = source_->problems_generation();
    while (Clock::now() < until) {
      pollfd one{.fd = source_->fd(), .events = POLLIN};
      ::poll(&one, 1,
             static_cast<int>(
                 std::chrono::ceil<std::chrono::milliseconds>(until - Clock::now()).count()));
      Batch batch = source_->poll();
      if (!batch.empty() || source_->problems_generation() != problems) return batch;
    }
    return {};
  }
  static std::vector<std::string> upserts(const Batch& batch) {
    std::vector<std::string> names;
    for (const ObjectPtr& object : batch.upserts) names.push_back(object->name);
    return names;
  }
  static std::vector<std::string> deletes(const Batch& batch) {
    std::vector<std::string> names;
    for (const ObjectKey& key : batch.deletes) names.push_back(key.name);
    return names;
  }

  fs::path root_;
  std::unique_ptr<FilesSource> source_;
};

TEST_F(Files, FirstPollGivesEverythingThatIsThere) {
  write("a.yaml", pod("a"));
  write("deep/er/b.yaml", pod("b"));
  write(".hidden.yaml", pod("hidden"));
  write("notes.txt", "nothing");
  open();
  EXPECT_EQ(source_->objects().size(), 2u);
  EXPECT_THAT(upserts(next()), ElementsAre("a", "b"));
}

TEST_F(Files, ChangesComeWithinFiftyMilliseconds) {
  open();
  next(50ms);
  const auto start = Clock::now();
  write("a.yaml", pod("a"));
  EXPECT_THAT(upserts(next()), ElementsAre("a"));
  EXPECT_LT(Clock::now() - start, 50ms);
}

TEST_F(Files, UpdatesAndDeletesAreSeenAndEqualContentIsNot) {
  write("a.yaml", pod("a"));
  open();
  next();
  write("a.yaml", pod("a", "10.0.0.2"));
  EXPECT_THAT(upserts(next()), ElementsAre("a"));
  write("a.yaml", "# only a comment more\n" + pod("a", "10.0.0.2"));
  EXPECT_TRUE(next(150ms).empty());
  fs::remove(root_ / "a.yaml");
  EXPECT_THAT(deletes(next()), ElementsAre("a"));
  EXPECT_THAT(source_->objects(), IsEmpty());
}

TEST_F(Files, DirectoriesThatAppearAndVanishTakeTheirObjectsAlong) {
  open();
  next(50ms);
  write("new/x/a.yaml", pod("a"));
  EXPECT_THAT(upserts(next()), ElementsAre("a"));
  write("new/x/b.yaml", pod("b"));
  EXPECT_THAT(upserts(next()), ElementsAre("b")) << "the new directory is watched too";
  fs::rename(root_ / "new", root_ / ".gone");
  EXPECT_THAT(deletes(next()), ElementsAre("a", "b"));
}

TEST_F(Files, BrokenFileKeepsItsObjectsAndHasOneProblem) {
  write("a.yaml", pod("a"));
  open();
  next();
  write("a.yaml", pod("a", "not-an-ip"));
  EXPECT_TRUE(next().empty());
  ASSERT_EQ(source_->problems().size(), 1u);
  EXPECT_THAT(source_->problems()[0].text,
              HasSubstr("a.yaml:4: status.podIP: must be an IP address, got \"not-an-ip\""));
  EXPECT_EQ(source_->objects().size(), 1u);
  write("a.yaml", pod("a", "10.0.0.9"));
  EXPECT_THAT(upserts(next()), ElementsAre("a"));
  EXPECT_THAT(source_->problems(), IsEmpty());
}

TEST_F(Files, BrokenDocumentKeepsItsWholeFileOut) {
  open();
  next(50ms);
  write("a.yaml", pod("good") + "---\nkind: Pod\n");
  EXPECT_TRUE(next().empty());
  EXPECT_EQ(source_->problems().size(), 1u);
  EXPECT_THAT(source_->objects(), IsEmpty());
}

TEST_F(Files, SameObjectInTwoFilesIsTheFirstPathsAndTheOtherIsReported) {
  write("b.yaml", pod("a", "10.0.0.2"));
  open();
  next();
  write("a.yaml", pod("a", "10.0.0.1"));
  const Batch batch = next();
  ASSERT_EQ(batch.upserts.size(), 1u);
  EXPECT_THAT(batch.upserts[0]->origin, HasSubstr("a.yaml"));
  ASSERT_EQ(source_->problems().size(), 1u);
  EXPECT_THAT(source_->problems()[0].text,
              HasSubstr("b.yaml:3: metadata.name: Pod default/a is ignored here"));
  fs::remove(root_ / "a.yaml");
  const Batch back = next();
  ASSERT_EQ(back.upserts.size(), 1u);
  EXPECT_THAT(back.upserts[0]->origin, HasSubstr("b.yaml"));
  EXPECT_THAT(source_->problems(), IsEmpty());
}

TEST_F(Files, MovedFileChangesNothing) {
  write("a.yaml", pod("a"));
  open();
  next();
  fs::rename(root_ / "a.yaml", root_ / "z.yaml");
  EXPECT_TRUE(next(150ms).empty());
  EXPECT_THAT(source_->objects().begin()->second->origin, HasSubstr("z.yaml"));
}

TEST_F(Files, ConfigMapVolumeSwapIsSeen) {
  write("v1/a.yaml", pod("a", "10.0.0.1"));
  fs::rename(root_ / "v1", root_ / "..v1");
  fs::create_symlink("..v1", root_ / "..data");
  fs::create_symlink("..data/a.yaml", root_ / "a.yaml");
  open();
  EXPECT_THAT(upserts(next()), ElementsAre("a"));
  write("v2/a.yaml", pod("a", "10.0.0.2"));
  fs::rename(root_ / "v2", root_ / "..v2");
  next(60ms);
  fs::create_symlink("..v2", root_ / "..tmp");
  fs::rename(root_ / "..tmp", root_ / "..data");
  EXPECT_THAT(upserts(next()), ElementsAre("a"));
}

TEST_F(Files, ResyncFindsWhatInotifyMissed) {
  fs::create_directories(root_ / "elsewhere-XX");
  write("elsewhere-XX/a.yaml", pod("a"));
  fs::rename(root_ / "elsewhere-XX", root_ / "..kept");
  fs::create_symlink("..kept/a.yaml", root_ / "a.yaml");
  open(200ms);
  EXPECT_THAT(upserts(next()), ElementsAre("a"));
  write("..kept/a.yaml", pod("a", "10.0.0.2"));  // behind a link: no event in a watched directory
  EXPECT_THAT(upserts(next()), ElementsAre("a"));
}

TEST_F(Files, ManyWritesAreOneBatchWithinTheCap) {
  open();
  next(50ms);
  for (int i = 0; i < 50; ++i)
    write("p" + std::to_string(i) + ".yaml", pod("p" + std::to_string(i)));
  std::size_t seen = 0, batches = 0;
  while (seen < 50 && batches < 10) {
    seen += next().upserts.size();
    ++batches;
  }
  EXPECT_EQ(seen, 50u);
  EXPECT_LE(batches, 3u);
}

TEST_F(Files, DirectoryThatDoesNotExistIsAnError) {
  const auto opened = FilesSource::open({.directory = (root_ / "nothing").string()});
  ASSERT_FALSE(opened);
  EXPECT_THAT(opened.error().text, HasSubstr("cannot watch"));
}

TEST_F(Files, FifosAndDirectoriesNamedLikeManifestsDoNotBlock) {
  ::mkfifo((root_ / "pipe.yaml").c_str(), 0600);
  fs::create_directories(root_ / "dir.yaml");
  write("a.yaml", pod("a"));
  open();
  EXPECT_THAT(upserts(next()), ElementsAre("a"));
  EXPECT_EQ(source_->problems().size(), 1u);
}

}  // namespace
}  // namespace weft::source
