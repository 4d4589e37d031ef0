import { execFileSync } from "node:child_process";
import { findPart, needing } from "./find-program.ts";
import { testMysqlLike } from "./mysql-like.testsuite.ts";

const part = "MySQL";
const { paths, options } = findPart(part, ["mysqld", "mysqld_safe", "mysql"], true);
const [server = "", wrapper = "", client = ""] = paths;
/** MariaDB installs programs of the same names. */
const isMysql =
  options.skip ||
  !/mariadb/i.test(
    execFileSync(server, ["--no-defaults", "--version"], { encoding: "utf8", timeout: 10_000 }),
  );

testMysqlLike({
  preset: "mysql",
  server,
  wrapper,
  client,
  initialise: (dataDirectory) => [
    server,
    "--no-defaults",
    "--initialize-insecure",
    `--datadir=${dataDirectory}`,
  ],
  options: isMysql ? options : needing(part, "mysqld here is MariaDB's", true),
});
