/**
 * The gate: a POSIX shell program in the application's container, `sh gate DIRECTORY COMMAND…`. It says who it is, waits until the agent writes
 * the run's environment into a FIFO, runs the command as its child, and says how it ended. The agent opens it once for each run, so a container
 * that the platform starts again waits. What the agent writes ends with a line that opens: half of it does not.
 */
export const gateScript = `#!/bin/sh
# baton gate: holds a command until the agent lets it run
dir=$1
shift
[ -p "$dir/gate" ] || mkfifo -m 600 "$dir/gate" || exit 125
echo "$$" >"$dir/waiting.new" && mv "$dir/waiting.new" "$dir/waiting" || exit 125
BATON_GATE=
. "$dir/gate"
[ "$BATON_GATE" = open ] || exit 125
unset BATON_GATE
"$@" <&0 &
child=$!
echo "$BATON_COOKIE $child" >"$dir/running.new" && mv "$dir/running.new" "$dir/running"
for signal in TERM INT HUP QUIT USR1 USR2; do trap "kill -$signal $child" $signal; done
while :; do
  wait "$child"
  status=$?
  kill -0 "$child" 2>/dev/null || break
done
echo "$BATON_COOKIE $status" >"$dir/exit.new" && mv "$dir/exit.new" "$dir/exit"
exit "$status"
`;

/** Lines for the gate's shell: exports, then the word that opens. */
export function gateOpening(environment: Readonly<Record<string, string>>): string {
  const quoted = (value: string): string => `'${value.replaceAll("'", `'\\''`)}'`;
  const exports = Object.entries(environment).map(([name, value]) => `export ${name}=${quoted(value)}\n`);
  return `${exports.join("")}BATON_GATE=open\n`;
}
