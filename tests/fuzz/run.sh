#!/usr/bin/env bash
# Builds the targets with clang, libFuzzer, the address and the undefined-behaviour sanitizer in a build folder of their own, and runs each
# for a number of executions. A target goes on behind what it finds; equal ends count once.
#
#     tests/fuzz/run.sh [EXECUTIONS [TARGET..]]         EXECUTIONS: 1000000
#
# Environment: BUILD (build-fuzz), FINDINGS (BUILD/findings), JOBS (1), SECONDS_EACH (0: no limit), SCORELAB_TORCH (.deps/torch: the build
# asks for LibTorch, though nothing here uses it). Needs clang and libclang-rt (Debian: libclang-rt-14-dev).
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
runs=${1:-1000000}
shift || true
build=${BUILD:-$root/build-fuzz} jobs=${JOBS:-1}
findings=${FINDINGS:-$build/findings}
limits=(-timeout=20 -rss_limit_mb=2048 -malloc_limit_mb=1024)  # with sanitizers 20 s are what 5 s are otherwise
targets=("$@")
if [ ${#targets[@]} = 0 ]; then
  for folder in "$root"/tests/fuzz/corpus/*/; do targets+=("$(basename "$folder")"); done
fi

cmake -G Ninja -S "$root" -B "$build" -DSCORELAB_FUZZ=ON -DSCORELAB_CUDA=OFF -DSCORELAB_TORCH="${SCORELAB_TORCH:-$root/.deps/torch}" \
  -DCMAKE_C_COMPILER="${CC:-clang}" -DCMAKE_CXX_COMPILER="${CXX:-clang++}"
ninja -C "$build" -j"$jobs" "${targets[@]/#/fuzz_}"

mkdir -p "$findings"
scratch=$(mktemp -d "$([ -w /dev/shm ] && echo /dev/shm || echo /tmp)/scorelab-fuzz.XXXXXX")
trap 'rm -rf "$scratch"' EXIT
export TMPDIR=$scratch
export ASAN_OPTIONS=detect_leaks=0:allocator_may_return_null=1:max_allocation_size_mb=1024 UBSAN_OPTIONS=print_stacktrace=1

# ending TARGET FILE: how an input ends its target, equal for equal ends: an assertion, an exception or a report, and the first line of ours
# on the stack.
ending() {
  { timeout 60 "$build/tests/fuzz_$1" "${limits[@]}" "$2" 2>&1 || true; } | awk -v root="$root/" '
    !what && /Assertion .* failed|runtime error: |what\(\): |ERROR: (AddressSanitizer|libFuzzer)/ { what = $0 }
    !where && /^ *#[0-9]+ .*\/core\// { where = $NF }
    END {
      sub(/^.*Assertion/, "Assertion", what); sub(/^.*ERROR: /, "", what); sub(/^.*runtime error: /, "", what)
      gsub(/0x[0-9a-f]+|-?[0-9][0-9.e+-]*/, "N", what); sub(/ on (unknown )?address.*/, "", what); sub(root, "", where)
      print what ? what (where ? " in " where : "") : "not again"
    }'
}

table=$(printf '%-12s %12s %10s' target executions findings)
bad=0
for target in "${targets[@]}"; do
  found=$build/fuzz-corpus/$target log=$findings/$target.log
  mkdir -p "$found"
  echo "fuzz_$target: $runs executions (log: $log)"
  stop=()
  [ "${SECONDS_EACH:-0}" = 0 ] || stop=(-max_total_time="$SECONDS_EACH")
  "$build/tests/fuzz_$target" -fork="$jobs" -ignore_crashes=1 -ignore_ooms=1 -ignore_timeouts=1 -runs="$runs" -max_len=8192 \
    "${limits[@]}" "${stop[@]}" -artifact_prefix="$findings/$target-" \
    "$found" "$root/tests/fuzz/corpus/$target" > "$log" 2>&1 || true
  done_runs=$(sed -nE 's/^#([0-9]+):.*/\1/p' "$log" | tail -1)
  different=$(for file in "$findings/$target"-*; do [ ! -f "$file" ] || ending "$target" "$file"; done | sort | uniq -c | sort -rn)
  count=$(grep -c . <<< "$different" || true)
  [ "$count" = 0 ] || { bad=1 && printf '%s\n' "$different"; }
  table+=$'\n'$(printf '%-12s %12s %10s' "$target" "${done_runs:-0}" "$count")
done
printf '\n%s\n' "$table"
[ "$bad" = 0 ] || echo "inputs: $findings/TARGET-*; again: $build/tests/fuzz_TARGET FILE"
exit "$bad"
