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
    "pods services endpoints endpointslices deployments statefulsets replicasets namespaces nodes "
    "serviceaccounts configmaps secrets jobs authorizationpolicies peerauthentications";

std::string for_fish() {
  return fmt::format(
      R"SH(function __weftctl_at --description 'the words so far are these, and no option'
  set -l words (string match -v -- '-*' (commandline -opc))
  test (count $words) -eq (math (count $argv) + 1); or return 1
  for i in (seq (count $argv))
    contains -- $words[(math $i + 1)] (string split , -- $argv[$i]); or return 1
  end
end
function __weftctl_after --description 'this sandbox command and a kind'
  set -l words (string match -v -- '-*' (commandline -opc))
  test (count $words) -ge 4 -a "$words[2]" = sandbox; and contains -- $words[3] (string split , -- $argv[1])
end
function __weftctl_names
  weftctl sandbox get $argv[1] -o name 2>/dev/null | string replace -r '.*/' ''
end
complete -c weftctl -f
complete -c weftctl -n __weftctl_at -a '{}'
complete -c weftctl -n '__weftctl_at completion' -a 'bash zsh fish'
complete -c weftctl -n '__weftctl_at sandbox' -a '{}'
complete -c weftctl -n '__weftctl_at sandbox stop,start,restart,logs' -a '{}'
complete -c weftctl -n '__weftctl_at sandbox get,delete,label,annotate,wait' -a '{}'
complete -c weftctl -n '__weftctl_after get,delete,label,annotate,wait' -a '(__weftctl_names (string match -v -- "-*" (commandline -opc))[4])'
complete -c weftctl -n '__weftctl_at sandbox exec' -a '(__weftctl_names pods)'
complete -c weftctl -n '__weftctl_at sandbox apply' -F
complete -c weftctl -s o -l output -x -a 'json yaml wide name'
complete -c weftctl -s n -l namespace -x -a '(__weftctl_names namespaces)'
complete -c weftctl -s f -l filename -r -F
)SH",
      kWords, kSandboxWords, kComponents, kKinds);
}

}  // namespace

int completion(const std::string& shell) {
  const auto body = fmt::format(
      R"SH(_weftctl() {{
  local word="${{COMP_WORDS[COMP_CWORD]}}" words=""
  if [ "$COMP_CWORD" = 1 ]; then words="{}"
  elif [ "${{COMP_WORDS[1]}}" = sandbox ] && [ "$COMP_CWORD" = 2 ]; then words="{}"
  elif [ "${{COMP_WORDS[1]}}" = completion ]; then words="bash zsh fish"
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
  if (shell == "fish") {
    print(for_fish());
    return kOk;
  }
  std::fprintf(stderr, "completion is for bash, zsh or fish, not \"%s\"\n", shell.c_str());
  return kUsage;
}

}  // namespace weft::cli
