/** What a kind of server wants at its stop. Only what differs from `generic` is a fact about the server. */
interface Preset {
  readonly signal: string;
  readonly signalTo: "main" | "tree";
  readonly graceMs: number;
  readonly gracefulExitCodes: readonly number[];
  readonly quiesce: {
    readonly command: string[];
    readonly undo: string[];
    readonly timeoutMs: number;
  } | null;
}

export const presetNames = [
  "generic",
  "redis",
  "valkey",
  "postgres",
  "mysql",
  "mariadb",
  "nginx",
  "node",
  "jvm",
] as const;
export type PresetName = (typeof presetNames)[number];

const generic: Preset = {
  signal: "SIGTERM",
  signalTo: "tree",
  graceMs: 10_000,
  gracefulExitCodes: [0],
  quiesce: null,
};

/** Servers that look after their own children: a signal to each of them would end a checkpoint or a save half-way. */
const server = { ...generic, signalTo: "main", graceMs: 60_000 } as const;

/**
 * Writers are paused, then everything is saved, whatever the save points say: a server without any exits at SIGTERM without a save. With
 * some it saves once more at SIGTERM, and does not exit if that fails. Needs a server from 6.2 on, which can pause writes alone; an older
 * one refuses the pause, and so the stop. The reply is what counts, since a client ends with 0 after an error as well, and old ones know no `-e`. Password: REDISCLI_AUTH.
 */
const redisLike = (client: string): Preset => {
  const say = `say() { reply=$(${client} -p "\${PORT:-6379}" "$@"); echo "$reply"; [ "$reply" = OK ]; }`;
  // Under load a save in the background may be running, and a second one is refused until it is done.
  const save = `until say save; do case "$reply" in *"in progress"*) sleep 1;; *) exit 1;; esac; done`;
  return {
    ...server,
    quiesce: {
      command: ["sh", "-c", `${say}; say client pause 3600000 write || exit 1; ${save}`],
      undo: ["sh", "-c", `${say}; say client unpause`],
      // As long as the save at SIGTERM may take.
      timeoutMs: server.graceMs,
    },
  };
};

/** SIGTERM writes all pages and closes the log. To all: `mysqld_safe` ignores every signal, and the server has no children. */
const mysqlLike: Preset = { ...server, signalTo: "tree" };

export const presets: Readonly<Record<PresetName, Preset>> = {
  generic,
  redis: redisLike("redis-cli"),
  valkey: redisLike("valkey-cli"),
  /**
   * SIGINT is the fast shutdown: SIGTERM waits for every client to leave and lets no new one in, which cannot be taken back; SIGQUIT leaves
   * recovery for the next start.
   */
  postgres: { ...server, signal: "SIGINT" },
  mysql: mysqlLike,
  mariadb: mysqlLike,
  /** SIGQUIT finishes the requests that are under way; SIGTERM cuts them off. */
  nginx: { ...server, signal: "SIGQUIT" },
  /** Of the program itself: `npm start` ends by the signal before the program does, whatever that one's status is. */
  node: generic,
  /** The JVM ends with 143 after its shutdown hooks ran, also when all is well. */
  jvm: { ...generic, gracefulExitCodes: [0, 143] },
};
