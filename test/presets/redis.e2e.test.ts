import { testRedisLike } from "./redis-like.testsuite.ts";

testRedisLike({ preset: "redis", server: "redis-server", client: "redis-cli" });
