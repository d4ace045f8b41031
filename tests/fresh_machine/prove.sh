#!/usr/bin/env bash
# Proves on a bare Debian 12 (no compiler, no CUDA toolkit, no GPU) that two commands set everything up, run the quick start
# and pass the tests. Needs root, debootstrap and 20 GB of disk; takes about half an hour on two cores.
#
#   tests/fresh_machine/prove.sh [--tree] [--keep] [FOLDER]
#
# --tree: the working tree's files instead of HEAD's; --keep: leave FOLDER; FOLDER: where the machine's files go. If it holds a
# bare Debian already, that one is used.
set -euo pipefail

# In namespaces of its own, mounts and processes are gone with the script, however it ends.
if [[ -z ${SCORELAB_PROVE-} ]]; then
  if ((EUID)) || ! command -v debootstrap >/dev/null; then
    echo "prove.sh needs root and debootstrap (apt-get install debootstrap)" >&2
    exit 4
  fi
  SCORELAB_PROVE=1 exec unshare --mount --pid --fork --kill-child "$0" "$@"
fi

tree=0 keep=0 folder=
for arg; do
  case $arg in
  --tree) tree=1 ;;
  --keep) keep=1 ;;
  -*) sed -n '2,/^set/{/^#/s/^# \?//p}' "$0" && exit 2 ;;
  *) folder=$arg keep=1 ;;
  esac
done
repository=$(cd "$(dirname "$0")/../.." && pwd)
[[ -n $folder ]] || folder=$(mktemp -d "${TMPDIR:-/var/tmp}/scorelab-machine.XXXXXX")
mkdir -p "$folder"
machine=$(cd "$folder" && pwd)/root
home=/root/scorelab # the repository, inside
proofs=0 failures=0

finish() {
  local status=$?
  umount -R "$machine"/{proc,sys,dev/pts,dev/shm,wheels} 2>/dev/null || true
  if ((keep)); then echo "left in $folder"; else rm -rf --one-file-system "$folder"; fi
  echo "$((proofs - failures)) passed, $failures failed"
  ((status == 0 && failures > 0)) && status=1
  exit "$status"
}
trap finish EXIT

# proof WORDS COMMAND..: PASS if the command succeeds.
proof() {
  local words=$1
  shift
  proofs=$((proofs + 1))
  if "$@"; then echo "PASS: $words"; else failures=$((failures + 1)) && echo "FAIL: $words"; fi
}

# What the host needs to reach its registries, and nothing else of its environment.
environment=(PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 TERM="${TERM:-dumb}")
while IFS= read -r -d '' pair; do
  case $pair in
  PIP_FIND_LINKS=/*) [[ ! -d ${pair#*=} ]] || environment+=(PIP_FIND_LINKS=/wheels) ;;
  PIP_*=* | SSL_CERT_FILE=* | REQUESTS_CA_BUNDLE=* | http_proxy=* | https_proxy=* | no_proxy=*) environment+=("$pair") ;;
  esac
done < <(env -0)

inside() { env -i "${environment[@]}" chroot "$machine" bash -c "cd $home && exec \"\$@\"" bash "$@"; }
# says CODE WORDS COMMAND..: it exits with CODE and prints WORDS.
says() {
  local code=$1 words=$2 status=0 text
  shift 2
  text=$("$@" 2>&1) || status=$?
  [[ $status == "$code" && $text == *"$words"* ]] || { printf 'exit %s:\n%s\n' "$status" "$text" && return 1; }
}
silent() { # it succeeds without a word on standard error
  local text status=0
  text=$("$@" 2>&1 >/dev/null) || status=$?
  [[ $status$text == 0 ]] || { printf 'exit %s:\n%s\n' "$status" "$text" && return 1; }
}

# killed_at LOG WORDS: starts ./scorelab build and kills all of it three seconds after .deps/log/LOG.log says WORDS.
killed_at() {
  local log=$machine$home/.deps/log/$1.log words=$2 pid
  rm -f "$log"
  setsid env -i "${environment[@]}" chroot "$machine" "$home/scorelab" build &
  pid=$!
  until grep -qs "$words" "$log"; do
    kill -0 "$pid" 2>/dev/null || { echo "it ended before $1.log said '$words'" && return 1; }
    sleep 0.2
  done
  sleep 3
  kill -KILL -- "-$pid"
  ! wait "$pid" 2>/dev/null
}

targets() { sed -n 's|^\[[0-9]*/\([0-9]*\)\].*|\1|p' "$machine$home/.deps/log/build.log" | tail -n 1; } # of the last build

mirror() { # the host's own, if it has one
  local suite=bookworm
  { cat /etc/apt/sources.list /etc/apt/sources.list.d/*.list 2>/dev/null || true; } |
    sed -nE "s/^deb +(\[[^]]*\] +)?([^ ]+) +$suite +.*/\2/p" | head -n 1
  { cat /etc/apt/sources.list.d/*.sources 2>/dev/null || true; } |
    awk -v suite=$suite 'BEGIN { RS = "" } { uri = ""; for (i = 1; i <= NF; ++i) { if ($i == "URIs:") uri = $(i + 1); if ($i == suite && uri) { print uri; exit } } }'
}

make_machine() {
  local from file
  if [[ ! -x $machine/usr/bin/git ]]; then
    from=$(mirror | head -n 1)
    debootstrap --variant=minbase --include=git,python3,python3-venv,ca-certificates bookworm "$machine" ${from:+"$from"} >"$folder/debootstrap.log" ||
      { tail "$folder/debootstrap.log" && return 1; }
  fi
  mkdir -p "$machine"{/wheels,/sys,"$home"}
  mount -t proc proc "$machine/proc"
  mount -t sysfs -o ro sysfs "$machine/sys"
  mount -t devpts devpts "$machine/dev/pts"
  mount -t tmpfs tmpfs "$machine/dev/shm"
  if [[ -d ${PIP_FIND_LINKS-} ]]; then mount --bind "$PIP_FIND_LINKS" "$machine/wheels"; fi
  for file in /etc/pip.conf /etc/resolv.conf /etc/hosts /usr/local/share/ca-certificates "${PIP_CERT-}" "${SSL_CERT_FILE-}" "${REQUESTS_CA_BUNDLE-}" \
    $(grep -ls '^Acquire' /etc/apt/apt.conf.d/*); do
    [[ -z $file || ! -e $file ]] || { mkdir -p "$machine${file%/*}" && cp -rL "$file" "$machine${file%/*}/"; }
  done
  if ((tree)); then
    git -C "$repository" ls-files -z --cached --others --exclude-standard | (cd "$repository" && xargs -0 ls -d 2>/dev/null) | tar -C "$repository" -cT - | tar -C "$machine$home" -x
  else
    git -C "$repository" archive HEAD | tar -C "$machine$home" -x
  fi
}

nothing_there() {
  local tool
  for tool in g++ cc cmake ninja nvcc pip nvidia-smi; do ! inside bash -c "command -v $tool" || return 1; done
  [[ ! -e $machine/usr/local/cuda && ! -e $machine/dev/nvidiactl ]]
}

as_nobody() { # where it may write, but not install packages
  cp -r "$machine$home" "$machine/var/tmp/nobody" && chown -R nobody "$machine/var/tmp/nobody"
  env -i "${environment[@]}" chroot --userspec=nobody "$machine" /var/tmp/nobody/scorelab build
}

# shellcheck disable=SC2016
quick_overhead() { # of a call when all is built: less than 0.2 s
  inside bash -c 'best() { local best=1000000 t i; for i in {1..20}; do t=${EPOCHREALTIME/./}; "$1" --help >/dev/null; t=$((${EPOCHREALTIME/./} - t)); ((t < best)) && best=$t; done; echo "$best"; }
    build/bin/scorelab --help >/dev/null || exit 1
    with=$(best ./scorelab); without=$(best build/bin/scorelab); echo "the launcher adds $(((with - without) / 1000)) ms"; ((with - without < 200000))'
}

make_machine # not in a proof: there errexit would be off
proof "a bare Debian 12" grep -q '^12' "$machine/etc/debian_version"
proof "nothing but git and Python is on it" nothing_there
proof "./scorelab help needs nothing" says 0 "usage: ./scorelab" inside ./scorelab help
proof "without root or sudo it prints the line to run and exits 4" says 4 "sudo apt-get update && sudo apt-get install -y g++" as_nobody
proof "killed while pip installs torch" killed_at torch "Installing collected packages"
proof "torch is not there yet" test ! -e "$machine$home"/.deps/venv/lib/python3.11/site-packages/torch-*.dist-info/RECORD
proof "set up again, killed in the middle of the build" killed_at build '^\[20/'
before=$(targets)
time proof "./scorelab run experiments/quickstart.toml goes on from there" inside ./scorelab run experiments/quickstart.toml
proof "of ${before:-?} targets it built only the $(targets) that were left" test "$(targets)" -lt "${before:-0}"
proof "results/quickstart/ode/objective=ddpm/s0/run.h5" test -s "$machine$home/results/quickstart/ode/objective=ddpm/s0/run.h5"
proof "a picture" grep -q . <(find "$machine$home/results" -name '*.png' -size +0 2>/dev/null)
proof "a CUDA library without a CUDA toolkit" test -s "$machine$home/build/lib/libscorelab_cuda.so"
time proof "./scorelab test" inside ./scorelab test --no-tests=error
proof "the launcher says nothing when all is built" silent inside ./scorelab --help
proof "and costs less than 0.2 s" quick_overhead
touch "$machine$home/core/CMakeLists.txt"
proof "it rebuilds after an edit" says 0 "[5/5] build" inside ./scorelab --help
