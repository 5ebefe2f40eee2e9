# Sourced by reproduce_*.sh. Fetches what a published table needs, says what it takes, makes what is missing, cheapest
# first, and prints it beside what was published. Stopped at any moment, the same command goes on.
#
#   EVALKIT=evalkit   the program
#   RESULTS=results   where results are, and what is there is not made again
set -euo pipefail
evalkit=${EVALKIT:-evalkit}
results=${RESULTS:-results}

# reproduce NAME TABLE "suite=NAME|dataset=NAME,... ..." [SETTING=VALUE ...]
reproduce() {
    local name=$1 table=$2 one failed=0
    local -a wanted settings
    read -ra wanted <<<"$3"
    settings=("${@:4}")
    [ ${#settings[@]} -gt 0 ] || settings=(compute=cuda)
    for one in "${wanted[@]}"; do
        "$evalkit" fetch "$one"
    done
    "$evalkit" reproduce "$name" --table "$table" --results "$results" --plan "${settings[@]}"
    "$evalkit" reproduce "$name" --table "$table" --results "$results" --run --yes "${settings[@]}" || failed=$?
    "$evalkit" report "$results" --html "$results/$name-$table.html"
    return "$failed"
}
