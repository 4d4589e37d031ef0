import { testRedisLike } from "./redis-like.testsuite.ts";

testRedisLike({ preset: "valkey", server: "valkey-server", client: "valkey-cli", nowhere: true });
