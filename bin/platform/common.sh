# Sourced by bin/setup, bin/test and their helpers.
# shellcheck shell=bash

# shellcheck disable=SC2034 # for those who source this
project=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)

# One line per argument.
say() { printf '%s\n' "$@"; }

# The last words of a script: what went wrong, then one line per remedy.
fail() {
  printf '%s: %s\n' "$(basename "$0")" "$1" >&2
  shift
  for remedy in "$@"; do printf '  %s\n' "$remedy" >&2; done
  exit 1
}

# version_at_least 1.95.0 1.94
version_at_least() { dpkg --compare-versions "$1" ge "$2"; }

# The release this machine runs: bookworm, trixie, or something else.
debian_codename() (
  . /etc/os-release
  printf '%s\n' "${VERSION_CODENAME:-unknown}"
)

# rustup's installer puts cargo where only a new login shell finds it.
find_cargo() {
  command -v cargo >/dev/null || PATH="$HOME/.cargo/bin:$PATH"
  command -v cargo >/dev/null
}

# The archive this machine itself installs from, so that nothing here has to
# name one. --print-uris only reads the configuration: it needs neither root
# nor downloaded lists.
debian_mirror() {
  local codename uris mirror
  codename=$(debian_codename)
  uris=$(apt-get update --print-uris 2>/dev/null) || true
  mirror=$(sed -nE "s|^'(.*)/dists/($codename\|stable\|oldstable)/InRelease'.*|\1|p" <<<"$uris" | head -n 1)
  [[ -n "$mirror" ]] || fail "no Debian archive for $codename in this machine's apt configuration" \
    "add one to /etc/apt/sources.list or /etc/apt/sources.list.d, then run 'apt-get update'"
  printf '%s\n' "$mirror"
}

# How this machine reaches its archive (proxies, certificates, checks of the
# clock), without the extra indexes that other packages have asked for.
apt_transport_settings() {
  apt-config dump |
    grep -E '^Acquire::' |
    grep -vE '^Acquire::(IndexTargets|CompressionTypes|Changelogs|cdrom)'
}

debian_keyring=/usr/share/keyrings/debian-archive-keyring.gpg

# One line of sources.list. The keyring is named, so a suite is accepted only
# with Debian's own signature, whatever else this machine trusts.
debian_source() {
  local mirror
  mirror=$(debian_mirror)
  printf 'deb [signed-by=%s] %s %s main\n' "$debian_keyring" "$mirror" "$1"
}
