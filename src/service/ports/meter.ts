/** What the services tell of themselves. Seconds. */
export interface Meter {
  rendered(seconds: number): void
  fetched(seconds: number): void
  waited(seconds: number): void
  /** Something outside failed, and the service went on without it. */
  trouble(message: string, cause: unknown): void
}
