// Decides a batch of IAM requests: reads {documents, requests} as JSON from
// standard input, writes [{allowed, error}] to standard output. Requests name
// their policies by their place in documents, which keeps big batches small.
import { runSimulation, runUnsafeSimulation } from '@cloud-copilot/iam-simulate'

const ACCOUNT = '123456789012'

let input = ''
for await (const chunk of process.stdin) input += chunk
const { documents, requests } = JSON.parse(input)

const results = []
for (const r of requests) {
  const named = (i) => ({ name: `document${i}`, policy: documents[i] })
  const simulation = {
    request: {
      principal: r.principal ?? `arn:aws:iam::${ACCOUNT}:role/agent`,
      action: r.action,
      // The caller's own account whatever the ARN says: what the owner of another
      // account's resource grants is not judged here.
      resource: { resource: r.resource, accountId: ACCOUNT },
      contextVariables: r.context ?? {},
    },
    identityPolicies: r.policies.map(named),
    serviceControlPolicies: [],
    resourceControlPolicies: [],
    resourcePolicy: r.resourcePolicy < 0 ? undefined : documents[r.resourcePolicy],
    permissionBoundaryPolicies: r.boundary < 0 ? undefined : [named(r.boundary)],
  }
  try {
    // The simulator takes a star in a request for any text, which IAM does not.
    if (r.resource !== '*' && r.resource?.includes('*')) throw new Error('a request is about one resource, not about a pattern')
    if (simulation.resourcePolicy && !r.checked) throw new Error('policies of resources are judged in checked requests only')
    results.push(r.checked ? await checked(simulation) : { allowed: runUnsafeSimulation(simulation, {}) === 'Allowed' })
  } catch (err) {
    results.push({ allowed: false, error: String(err) })
  }
}
process.stdout.write(JSON.stringify(results))

async function checked(simulation) {
  const out = await runSimulation(simulation, {})
  if (out.resultType === 'error') return { allowed: false, error: JSON.stringify(out.errors) }
  const ignored = out.result?.ignoredContextKeys ?? []
  if (ignored.length > 0) return { allowed: false, error: `no context of this action: ${ignored}` }
  return { allowed: out.overallResult === 'Allowed' }
}
