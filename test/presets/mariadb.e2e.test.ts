import { findPart } from "./find-program.ts";
import { testMysqlLike } from "./mysql-like.testsuite.ts";

const { paths, options } = findPart("MariaDB", [
  "mariadbd",
  "mariadbd-safe",
  "mariadb",
  "mariadb-install-db",
]);
const [server = "", wrapper = "", client = "", install = ""] = paths;

testMysqlLike({
  preset: "mariadb",
  server,
  wrapper,
  client,
  initialise: (dataDirectory) => [
    install,
    "--no-defaults",
    `--datadir=${dataDirectory}`,
    "--auth-root-authentication-method=normal",
    "--skip-test-db",
    "--skip-name-resolve",
  ],
  options,
});
