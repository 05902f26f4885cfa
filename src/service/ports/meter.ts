/** Measurements of the services, in seconds. */
export interface Meter {
  rendered(seconds: number): void
  fetched(seconds: number): void
  waited(seconds: number): void
  /** A dependency failed, and the service continues without it. */
  trouble(message: string, cause: unknown): void
}
