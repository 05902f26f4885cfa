import { uploadForm } from '../../lib/darkroom.js'

export async function POST(request) {
  // Check the session of the user here.
  const uploaded = await uploadForm(request)
  const { id, message } = await uploaded.json()
  if (!uploaded.ok) return new Response(message, { status: uploaded.status })
  return new Response(null, { status: 303, headers: { Location: `/pictures/${id}` } })
}
