export default defineEventHandler(async (event) => {
  const {
    darkroomToken,
    public: { darkroomUrl },
  } = useRuntimeConfig(event)
  // Check the session of the user here. The form is passed on as it arrives: Darkroom accepts one file per form.
  const uploaded = await fetch(`${darkroomUrl}/images`, {
    method: 'POST',
    headers: { Authorization: `Bearer ${darkroomToken}`, 'Content-Type': getHeader(event, 'content-type') ?? '' },
    body: getRequestWebStream(event),
    duplex: 'half',
  })
  const { id, message } = await uploaded.json()
  if (!uploaded.ok) throw createError({ statusCode: uploaded.status, message })
  return sendRedirect(event, `/pictures/${id}`, 303)
})
