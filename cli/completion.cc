#include <fmt/format.h>

#include <cstdio>

#include "cli/commands.h"

namespace weft::cli {
namespace {

constexpr const char* kWords = "check status ca version completion sandbox";
constexpr const char* kSandboxWords =
    "up down apply delete get label annotate exec wait stop start restart logs certificate";
constexpr const char* kComponents = "agent ztunnel controlplane envoy dns";
constexpr const char* kKinds =
    "pods services deployments namespaces nodes serviceaccounts configmaps secrets jobs "
    "authorizationpolicies peerauthentications";

}  // namespace

int completion(const std::string& shell) {
  const auto body = fmt::format(
      R"SH(_weftctl() {{
  local word="${{COMP_WORDS[COMP_CWORD]}}" words=""
  if [ "$COMP_CWORD" = 1 ]; then words="{}"
  elif [ "${{COMP_WORDS[1]}}" = sandbox ] && [ "$COMP_CWORD" = 2 ]; then words="{}"
  elif [ "${{COMP_WORDS[1]}}" = completion ]; then words="bash zsh"
  elif [ "${{COMP_WORDS[1]}}" = sandbox ]; then
    case "${{COMP_WORDS[2]}}" in
      stop|start|restart|logs) words="{}" ;;
      get|delete|label|annotate|wait)
        if [ "$COMP_CWORD" = 3 ]; then words="{}"
        else words="$(weftctl sandbox get "${{COMP_WORDS[3]}}" -o name 2>/dev/null | sed 's|.*/||')"; fi ;;
      exec) words="$(weftctl sandbox get pods -o name 2>/dev/null | sed 's|.*/||')" ;;
      apply) COMPREPLY=($(compgen -f -- "$word")); return ;;
    esac
  fi
  COMPREPLY=($(compgen -W "$words" -- "$word"))
}}
complete -o default -F _weftctl weftctl
)SH",
      kWords, kSandboxWords, kComponents, kKinds);
  if (shell == "bash") {
    print(body);
    return kOk;
  }
  if (shell == "zsh") {
    print("#compdef weftctl\nautoload -U +X bashcompinit && bashcompinit\n" + body);
    return kOk;
  }
  std::fprintf(stderr, "completion is for bash or zsh, not \"%s\"\n", shell.c_str());
  return kUsage;
}

}  // namespace weft::cli
