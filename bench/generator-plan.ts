import { z } from 'zod'

/** Requests at a rate. */
const Segment = z.object({ requestsPerSecond: z.number().positive(), seconds: z.number().positive() }).readonly()
export type Segment = z.infer<typeof Segment>

/** What a load generator, which is a process of its own, is told. */
export const GeneratorPlan = z
  .object({
    /** Of an HTTP server on loopback. */
    port: z.number(),
    /** Loopback address of the clients. Default: 127.0.0.1. */
    from: z.string().optional(),
    /** In this order; after the last the first again. */
    paths: z.array(z.string()).readonly(),
    load: z.union([
      // So many ask, each one after the other.
      z.object({ clients: z.number(), seconds: z.number() }).readonly(),
      // One segment after the other.
      z.object({ segments: z.array(Segment).readonly(), seed: z.number() }).readonly(),
    ]),
  })
  .readonly()
export type GeneratorPlan = z.infer<typeof GeneratorPlan>

/**
 * When it was to be asked since the beginning and how long that took from then on, in ms; its status, 0 if none came; and
 * whether it had a Retry-After.
 */
const Sample = z.tuple([z.number(), z.number(), z.number(), z.boolean()]).readonly()
export type Sample = z.infer<typeof Sample>

/** What it tells in the end. */
export const Generated = z
  .object({
    samples: z.array(Sample).readonly(),
    /** Of the generator itself. */
    cpuSeconds: z.number(),
  })
  .readonly()
export type Generated = z.infer<typeof Generated>
