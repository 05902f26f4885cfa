/** List prices in dollars, without discounts and taxes. */
export interface Prices {
  /** Of a virtual CPU with 4 GB of memory, per hour. */
  readonly cpuHour: number
  /** Of a GB of disk, per month. */
  readonly diskMonth: number
  /** Of 1,000 GET or HEAD. */
  readonly gets: number
  /** Of 1,000 PUT or LIST. */
  readonly puts: number
  /** Of a GB in the store, per month. */
  readonly storeMonth: number
}

/** AWS, us-east-1. */
export const PRICES: Prices = { cpuHour: 0.0408, diskMonth: 0.08, gets: 0.0004, puts: 0.005, storeMonth: 0.023 }

/** Where the defaults are published. */
export const PRICE_SOURCES = [
  'vCPU: m7g.large, 2 vCPU with 8 GiB, $0.0816 per hour on demand in us-east-1, June 2026 (aws.amazon.com/ec2/pricing/on-demand)',
  'disk: EBS gp3, $0.08 per GB and month in us-east-1 (aws.amazon.com/ebs/pricing); a local NVMe disk is part of the price of some machines',
  'store: S3 Standard, us-east-1, first tier: $0.0004 per 1,000 GET, $0.005 per 1,000 PUT or LIST, $0.023 per GB and month (aws.amazon.com/s3/pricing)',
] as const

export interface HostedPrice {
  readonly name: string
  /** Dollars for a million first views: the lowest and the highest list price. */
  readonly perMillion: readonly [number, number]
  readonly source: string
}

export const HOSTED: readonly HostedPrice[] = [
  {
    name: 'Vercel',
    perMillion: [50, 81],
    source:
      'image transformations $0.05 to $0.0812 per 1,000 by region, without cache reads and writes (vercel.com/docs/pricing/image-optimization, read in November 2026)',
  },
  {
    name: 'Cloudinary',
    perMillion: [396, 440],
    source:
      'plan Plus, 225 credits for $89 (paid yearly) to $99 a month, 1,000 transformations a credit, without storage and traffic (cloudinary.com/pricing, as of May 2026)',
  },
  {
    name: 'Cloudflare Images',
    perMillion: [500, 500],
    source:
      'unique transformations $0.50 per 1,000 and month (developers.cloudflare.com/images/pricing, as of July 2026)',
  },
]
