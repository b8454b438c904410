declare module 'redis-parser' {
  /** Takes what a server sends, in pieces of any length, and gives each reply once it is whole. */
  class RedisParser {
    constructor(options: {
      returnReply(reply: unknown): void;
      returnError(error: Error): void;
      returnFatalError(error: Error): void;
    });
    execute(data: Buffer): void;
  }
  export = RedisParser;
}
