#include <fmt/format.h>

#include <cstdio>

#include "cli/commands.h"

namespace weft::cli {
namespace {

constexpr const char* kWords = "analyze ca check completion explain install sandbox status uninstall upgrade version";
constexpr const char* kSandboxWords =
    "up down apply delete get label annotate exec wait stop start restart logs certificate";
constexpr const char* kComponents = "agent ztunnel controlplane envoy dns";
constexpr const char* kKinds =
    "pods services endpoints endpointslices deployments statefulsets replicasets namespaces nodes "
    "serviceaccounts configmaps secrets jobs authorizationpolicies peerauthentications "
    "requestauthentications virtualservices destinationrules serviceentries gateways httproutes "
    "grpcroutes referencegrants telemetries";

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
complete -c weftctl -n '__weftctl_at ca' -a 'status rotate'
complete -c weftctl -n '__weftctl_at explain' -a '(__weftctl_names pods)'
complete -c weftctl -n '__weftctl_at sandbox' -a '{}'
complete -c weftctl -n '__weftctl_at sandbox stop,start,restart,logs' -a '{}'
complete -c weftctl -n '__weftctl_at sandbox get,delete,label,annotate,wait' -a '{}'
complete -c weftctl -n '__weftctl_after get,delete,label,annotate,wait' -a '(__weftctl_names (string match -v -- "-*" (commandline -opc))[4])'
complete -c weftctl -n '__weftctl_at sandbox exec' -a '(__weftctl_names pods)'
complete -c weftctl -n '__weftctl_at sandbox apply' -F
complete -c weftctl -n '__weftctl_at install,upgrade' -l profile -x -a 'default istio-compat minimal high-availability'
complete -c weftctl -n '__weftctl_at install,upgrade,uninstall,check' -l kubeconfig -r -F
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
  # The words so far without options; those that take a value take it along.
  local word="${{COMP_WORDS[COMP_CWORD]}}" words="" i given=() scope=() name=()
  for ((i = 1; i < COMP_CWORD; i++)); do
    case "${{COMP_WORDS[i]}}" in
      --) return ;;
      -n|--namespace) scope=(-n "${{COMP_WORDS[i + 1]}}"); ((i++)) ;;
      --sandbox|--name) name=(--sandbox "${{COMP_WORDS[i + 1]}}"); ((i++)) ;;
      -o|--output|-l|--selector|-c|--container|-f|--filename|--node|--nodes|--set|--signal|--timeout|--tail|--for|--out|--kubeconfig|--profile|--crds) ((i++)) ;;
      -*) ;;
      *) given+=("${{COMP_WORDS[i]}}") ;;
    esac
  done
  local names="weftctl ${{name[*]}} sandbox get -o name"
  case "${{COMP_WORDS[COMP_CWORD-1]}}" in
    -o|--output) COMPREPLY=($(compgen -W "json yaml wide name" -- "$word")); return ;;
    -f|--filename|--out|--kubeconfig|--crds) COMPREPLY=($(compgen -f -- "$word")); return ;;
    -n|--namespace) COMPREPLY=($(compgen -W "$($names namespaces 2>/dev/null | sed 's|.*/||')" -- "$word")); return ;;
    --profile) COMPREPLY=($(compgen -W "default istio-compat minimal high-availability" -- "$word")); return ;;
    --node) COMPREPLY=($(compgen -W "$($names nodes 2>/dev/null | sed 's|.*/||')" -- "$word")); return ;;
    --sandbox|--name|-l|--selector|-c|--container|--nodes|--set|--signal|--timeout|--tail|--for) COMPREPLY=(); return ;;
  esac
  case "${{#given[@]}} ${{given[0]}} ${{given[1]}}" in
    "0 "*) words="{}" ;;
    "1 sandbox "*) words="{}" ;;
    "1 completion "*) words="bash zsh fish" ;;
    "1 ca "*) words="status rotate" ;;
    "1 explain "*) words="$($names pods "${{scope[@]}}" 2>/dev/null | sed 's|.*/||')" ;;
    "2 explain "*) words="$($names services "${{scope[@]}}" 2>/dev/null | sed 's|.*/||')" ;;
    "2 sandbox stop"|"2 sandbox start"|"2 sandbox restart") words="{}" ;;
    "2 sandbox logs") words="{} $($names pods "${{scope[@]}}" 2>/dev/null | sed 's|.*/||')" ;;
    "2 sandbox exec") words="$($names pods "${{scope[@]}}" 2>/dev/null | sed 's|.*/||')" ;;
    *" sandbox get"|*" sandbox delete"|*" sandbox label"|*" sandbox annotate"|*" sandbox wait")
      if [ "${{#given[@]}}" = 2 ]; then words="{}"
      else words="$($names "${{given[2]}}" "${{scope[@]}}" 2>/dev/null | sed 's|.*/||')"; fi ;;
  esac
  COMPREPLY=($(compgen -W "$words" -- "$word"))
}}
complete -o default -F _weftctl weftctl
)SH",
      kWords, kSandboxWords, kComponents, kComponents, kKinds);
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
