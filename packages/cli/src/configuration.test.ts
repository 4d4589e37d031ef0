import { describe, expect, it } from "vitest";
import { readConfiguration } from "./configuration.ts";
import { parseListenAddress } from "./listen-address.ts";

const user = { uid: 1000, home: "/home/ada" };

describe("readConfiguration", () => {
  it.each([
    ["below the home of an ordinary user", {}, user, "/home/ada/.local/state/baton"],
    ["below $XDG_STATE_HOME", { XDG_STATE_HOME: "/var/ada" }, user, "/var/ada/baton"],
    ["not below a relative $XDG_STATE_HOME", { XDG_STATE_HOME: "ada" }, user, "/home/ada/.local/state/baton"],
    ["in /var/lib for root", { XDG_STATE_HOME: "/x" }, { uid: 0, home: "/root" }, "/var/lib/baton"],
    ["where the environment says", { BATON_STATE_DIRECTORY: "/srv/baton" }, user, "/srv/baton"],
    [
      "at the default for an empty variable",
      { BATON_STATE_DIRECTORY: "" },
      user,
      "/home/ada/.local/state/baton",
    ],
  ])("puts the state %s", (_, env, who, directory) => {
    expect(readConfiguration(env, who).stateDirectory).toBe(directory);
  });

  it("reads everything else and freezes it", () => {
    const env = {
      BATON_DATABASE_URL: "postgres://x/y",
      BATON_DATABASE_URL_FILE: "/run/database-url",
      BATON_LISTEN: "[::]:443",
      BATON_TLS_CERTIFICATE_FILE: "/run/tls.crt",
      BATON_TLS_KEY_FILE: "/run/tls.key",
      BATON_PLAIN_HTTP: "yes",
      BATON_URL: "https://baton.example:7420/",
      BATON_CA_FILE: "/run/ca.crt",
      BATON_TOKEN_FILE: "/run/own-token",
      BATON_TOKEN: "baton_x",
      BATON_ADMIN_TOKEN_FILE: "/run/token",
      BATON_COMMAND_KEY_FILE: "/run/key",
      BATON_PUBLIC_URL: "https://baton.example/",
      BATON_LOG_LEVEL: "debug",
      BATON_FAULT: "kill@stop",
      BATON_PROBE_EVERY_MS: "60000",
      BATON_KEEP_DAYS: "30",
      TERM: "dumb",
    };
    const configuration = readConfiguration({ ...env, BATON_AGENT_COMMAND: '["node","agent.ts"]' }, user);
    expect(configuration).toMatchObject({
      databaseUrl: "postgres://x/y",
      databaseUrlFile: "/run/database-url",
      listen: { host: "::", port: 443 },
      tls: { certificate: "/run/tls.crt", key: "/run/tls.key" },
      plainHttp: true,
      url: "https://baton.example:7420",
      caFile: "/run/ca.crt",
      tokenFile: "/run/own-token",
      token: "baton_x",
      adminTokenFile: "/run/token",
      commandKeyFile: "/run/key",
      publicUrl: "https://baton.example",
      logLevel: "debug",
      fault: "kill@stop",
      probeEveryMs: 60_000,
      keepDays: 30,
      agentCommand: ["node", "agent.ts"],
      terminalMoves: false,
    });
    expect(Object.isFrozen(configuration)).toBe(true);
  });

  it("names the variable that is wrong and what is allowed", () => {
    expect(() => readConfiguration({ BATON_LOG_LEVEL: "loud" }, user)).toThrow(
      'cannot use BATON_LOG_LEVEL "loud": allowed are silent, error, warn, info, debug',
    );
    expect(() => readConfiguration({ BATON_LISTEN: "7420" }, user)).toThrow('cannot listen on "7420"');
    expect(() => readConfiguration({ BATON_PLAIN_HTTP: "1" }, user)).toThrow(
      'cannot use BATON_PLAIN_HTTP "1": allowed are yes and no',
    );
    for (const [one, other] of [
      ["BATON_TLS_CERTIFICATE_FILE", "BATON_TLS_KEY_FILE"],
      ["BATON_TLS_KEY_FILE", "BATON_TLS_CERTIFICATE_FILE"],
    ] as const)
      expect(() => readConfiguration({ [one]: "/run/pem" }, user)).toThrow(
        `cannot use ${one} alone: a certificate and its key go together; set ${other} too`,
      );
    for (const BATON_PROBE_EVERY_MS of ["soon", "0", "999", "-1", "1e6", "2147483648"])
      expect(() => readConfiguration({ BATON_PROBE_EVERY_MS }, user)).toThrow(
        `cannot use BATON_PROBE_EVERY_MS "${BATON_PROBE_EVERY_MS}": it must be a whole number of ms`,
      );
    for (const BATON_KEEP_DAYS of ["0", "-1", "1.5", "ever"])
      expect(() => readConfiguration({ BATON_KEEP_DAYS }, user)).toThrow("cannot use BATON_KEEP_DAYS");
    for (const BATON_PUBLIC_URL of ["baton.example", "ftp://baton.example", "https://baton.example/?a=b"])
      expect(() => readConfiguration({ BATON_PUBLIC_URL }, user)).toThrow("cannot use BATON_PUBLIC_URL");
    for (const BATON_AGENT_COMMAND of ["node agent.ts", "[]", '["node",1]', '"node"'])
      expect(() => readConfiguration({ BATON_AGENT_COMMAND }, user)).toThrow(
        "must be a JSON array of strings",
      );
  });
});

describe("parseListenAddress", () => {
  it.each([
    ["127.0.0.1:7420", { host: "127.0.0.1", port: 7420 }],
    ["127.8.0.1:0", { host: "127.8.0.1", port: 0 }],
    ["[::1]:80", { host: "::1", port: 80 }],
    ["0.0.0.0:443", { host: "0.0.0.0", port: 443 }],
    ["localhost:65535", { host: "localhost", port: 65_535 }],
  ])("reads %s", (text, address) => {
    expect(parseListenAddress(text)).toEqual(address);
  });

  it.each(["", "7420", ":7420", "127.0.0.1", "127.0.0.1:", "127.0.0.1:65536", "::1:80", "127.0.0.1:http"])(
    "refuses %j, which is not HOST:PORT",
    (text) => {
      expect(() => parseListenAddress(text)).toThrow("it must be HOST:PORT");
    },
  );
});
