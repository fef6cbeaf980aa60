/** The answer for a path that was asked for so many times. */
export function said(path: string, times: bigint): string {
  return times === 1n ? `${path} was asked for once\n` : `${path} was asked for ${times} times\n`;
}
