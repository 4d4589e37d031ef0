/*
 * Imported before anything else: a signal that comes before its listener ends the process, or is lost for good where we are PID 1.
 */

/** End us, after the application. */
const ending = ["SIGTERM", "SIGINT"] as const;
/** The application's business. Without a listener Node opens its debugger on SIGUSR1 and dies of the others. */
const forwarded = ["SIGHUP", "SIGUSR1", "SIGUSR2", "SIGQUIT", "SIGWINCH"] as const;

export interface SignalHandlers {
  readonly onEnd: (signal: NodeJS.Signals) => void;
  readonly onForward: (signal: NodeJS.Signals) => void;
}

let handlers: SignalHandlers | null = null;
const early: NodeJS.Signals[] = [];

for (const signal of ending)
  process.on(signal, () => (handlers === null ? void early.push(signal) : handlers.onEnd(signal)));
const earlyForwarded: NodeJS.Signals[] = [];
for (const signal of forwarded)
  process.on(signal, () =>
    handlers === null ? void earlyForwarded.push(signal) : handlers.onForward(signal),
  );

/** From now on signals go here; those that came before come at once. */
export function handleSignals(given: SignalHandlers): void {
  handlers = given;
  for (const signal of earlyForwarded.splice(0)) given.onForward(signal);
  for (const signal of early.splice(0)) given.onEnd(signal);
}

/** For commands that supervise nothing: the first signal ends them. */
export function endOnSignals(): void {
  handleSignals({ onEnd: () => process.exit(130), onForward: () => {} });
}
