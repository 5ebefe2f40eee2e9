# Sourced by reproduce_*.sh. Fetches what a published table needs, says what it takes, makes what is missing, cheapest
# first, and prints it beside what was published. Stopped at any moment, the same command goes on.
#
#   EVALKIT=FILE      the program; else the one of this clone (.venv, which `make demo` sets up), else that on the PATH
#   RESULTS=results   where results are, and what is there is not made again
set -euo pipefail
clone=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
evalkit=${EVALKIT:-$clone/.venv/bin/evalkit}
[ -n "${EVALKIT:-}" ] || [ -x "$evalkit" ] || evalkit=evalkit
results=${RESULTS:-results}

# reproduce NAME TABLE "suite=NAME|dataset=NAME,... ..." [SETTING=VALUE ...]
reproduce() {
    local name=$1 table=$2 one failed=0
    local -a wanted settings
    read -ra wanted <<<"$3"
    settings=("${@:4}")
    case "${settings[0]:-}" in
    -h | --help)
        # What the scripts say of themselves.
        sed -n '2,/^[^#]/s/^# \{0,1\}//p' "$0"
        sed -n '/^[^#]/q;s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"
        return 0
        ;;
    esac
    command -v "$evalkit" >/dev/null || {
        echo "$evalkit: there is no such program. Run \`make demo\` in the clone, or set EVALKIT." >&2
        return 2
    }
    [ ${#settings[@]} -gt 0 ] || settings=(compute=cuda)
    for one in "${wanted[@]}"; do
        "$evalkit" fetch "$one"
    done
    "$evalkit" reproduce "$name" --table "$table" --results "$results" --plan "${settings[@]}"
    "$evalkit" reproduce "$name" --table "$table" --results "$results" --run --yes "${settings[@]}" || failed=$?
    "$evalkit" report "$results" --html "$results/$name-$table.html"
    return "$failed"
}
