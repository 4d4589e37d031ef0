/** What a kind of server wants at its stop. Only what differs from `generic` is a fact about the server. */
interface Preset {
  readonly signal: string;
  readonly signalTo: "main" | "tree";
  readonly graceMs: number;
  readonly gracefulExitCodes: readonly number[];
  readonly quiesce: { readonly command: string[]; readonly undo?: string[] } | null;
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
 * Writers are paused, then everything is saved, whatever the save points say; on SIGTERM the server saves once more and refuses to exit if
 * that fails. `-e` makes an error reply an exit status. Password: REDISCLI_AUTH.
 */
const redisLike = (client: string): Preset => {
  const call = `${client} -e -p "\${PORT:-6379}"`;
  return {
    ...server,
    quiesce: {
      command: ["sh", "-c", `${call} client pause 3600000 write && ${call} save`],
      undo: ["sh", "-c", `${call} client unpause`],
    },
  };
};

export const presets: Readonly<Record<PresetName, Preset>> = {
  generic,
  redis: redisLike("redis-cli"),
  valkey: redisLike("valkey-cli"),
  /** SIGINT is the fast shutdown: SIGTERM waits for every client to leave, SIGQUIT leaves recovery for the next start. */
  postgres: { ...server, signal: "SIGINT" },
  mysql: server,
  mariadb: server,
  /** SIGQUIT finishes the requests that are under way; SIGTERM cuts them off. */
  nginx: { ...server, signal: "SIGQUIT" },
  node: generic,
  /** The JVM ends with 143 after its shutdown hooks ran, also when all is well. */
  jvm: { ...generic, gracefulExitCodes: [0, 143] },
};
