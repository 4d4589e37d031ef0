/** Whether what goes there stays on the machine. */
export const isLoopback = (url: string): boolean =>
  /^(localhost$|127\.|\[::1\]$)/.test(new URL(url).hostname);
