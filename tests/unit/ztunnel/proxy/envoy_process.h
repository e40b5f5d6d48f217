// EnvoyProcess: the stock Envoy with waypoint.yaml on a free port of 127.0.0.1, for one test.
#pragma once

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <thread>

#include "tests/unit/ztunnel/proxy/loopback_mesh.h"

namespace weft::proxy {

class EnvoyProcess {
 public:
  // Where `make deps` put it; WEFT_ENVOY names another.
  static std::string binary() {
    if (const char* named = std::getenv("WEFT_ENVOY")) return named;
    return WEFT_SOURCE_DIR "/.cache/envoy-1.40.0/envoy";
  }

  explicit EnvoyProcess(const SocketAddress& app) {
    std::string made = (std::filesystem::temp_directory_path() / "weft-envoy-XXXXXX").string();
    WEFT_ASSERT(::mkdtemp(made.data()) != nullptr);
    folder_ = made;
    {
      Fd probe = bound_to(*SocketAddress::parse("127.0.0.1:0"));
      port_ = Sockets::kernel().local(probe.get())->port;
    }
    std::ifstream in(WEFT_SOURCE_DIR "/tests/unit/ztunnel/proxy/waypoint.yaml");
    std::stringstream text;
    text << in.rdbuf();
    auto config = text.str();
    fill(config, "@PORT@", std::to_string(port_));
    fill(config, "@APP_IP@", app.ip.str());
    fill(config, "@APP_PORT@", std::to_string(app.port));
    std::ofstream(folder_ / "envoy.yaml") << config;
    start();
  }
  ~EnvoyProcess() {
    kill();
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
  }
  EnvoyProcess(const EnvoyProcess&) = delete;
  EnvoyProcess& operator=(const EnvoyProcess&) = delete;

  std::uint16_t port() const { return port_; }
  // Waits until it accepts; false after 30 s or when it ended.
  bool ready() const {
    for (int i = 0; i < 600; ++i) {
      Fd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
      sockaddr_storage raw{};
      const auto length = SocketAddress{*IpAddress::parse("127.0.0.1"), port_}.to_sockaddr(raw);
      if (::connect(fd.get(), reinterpret_cast<sockaddr*>(&raw), length) == 0) return true;
      if (::waitpid(pid_, nullptr, WNOHANG) != 0) return false;
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
    }
    return false;
  }
  void kill() {
    if (pid_ <= 0) return;
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
    pid_ = -1;
  }
  std::string log() const {
    std::ifstream in(folder_ / "log");
    std::stringstream text;
    text << in.rdbuf();
    return text.str();
  }

 private:
  static void fill(std::string& text, std::string_view mark, const std::string& value) {
    for (std::size_t at; (at = text.find(mark)) != std::string::npos;)
      text.replace(at, mark.size(), value);
  }
  void start() {
    const std::string program = binary(), config = (folder_ / "envoy.yaml").string(), log = (folder_ / "log").string();
    const pid_t parent = ::getpid();
    pid_ = ::fork();
    if (pid_ != 0) return;
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != parent) ::_exit(1);
    const int out = ::open(log.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    ::dup2(out, 1);
    ::dup2(out, 2);
    ::execl(program.c_str(), "envoy", "-c", config.c_str(), "--concurrency", "1", "--disable-hot-restart", "-l", "warning", nullptr);
    ::_exit(127);
  }

  std::filesystem::path folder_;
  std::uint16_t port_ = 0;
  pid_t pid_ = -1;
};

}  // namespace weft::proxy
