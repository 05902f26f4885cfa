import { runQuietly } from '../../tools/processes/process.ts'
import type { S3Access } from '../../tools/s3/s3-server.ts'
import { ensureAwsCli } from '../../tools/servers/install-servers.ts'

/**
 * Runs the AWS CLI against one server, as `awsCli(access, ['s3', 'cp', path, 's3://bucket/key'])`; installs it first.
 *
 * @returns what it printed on standard output.
 * @throws Error with what it printed on standard error, if it fails.
 */
export async function awsCli(
  { endpoint, region, accessKeyId, secretAccessKey }: Omit<S3Access, 'kind'>,
  args: readonly string[],
): Promise<string> {
  const { python, folder } = await ensureAwsCli()
  return await runQuietly(python, ['-m', 'awscli', '--endpoint-url', endpoint, ...args], {
    PATH: process.env.PATH,
    PYTHONPATH: folder,
    // Nobody's own settings: neither files nor the machine's role.
    AWS_CONFIG_FILE: '/dev/null',
    AWS_SHARED_CREDENTIALS_FILE: '/dev/null',
    AWS_EC2_METADATA_DISABLED: 'true',
    AWS_DEFAULT_REGION: region,
    AWS_ACCESS_KEY_ID: accessKeyId,
    AWS_SECRET_ACCESS_KEY: secretAccessKey,
    // As our own client: older Ceph gateways reject the checksums that are the default.
    AWS_REQUEST_CHECKSUM_CALCULATION: 'when_required',
    AWS_RESPONSE_CHECKSUM_VALIDATION: 'when_required',
    // File names in any language.
    PYTHONUTF8: '1',
  })
}
