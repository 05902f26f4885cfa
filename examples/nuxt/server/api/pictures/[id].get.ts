/** Size and colour of a picture. The token is necessary on a node with SIZE_POLICY=signed only. */
export default defineEventHandler(async (event) => {
  const {
    darkroomToken,
    public: { darkroomUrl },
  } = useRuntimeConfig(event)
  const id = getRouterParam(event, 'id') ?? ''
  if (!/^[0-9a-f]{40}$/.test(id)) throw createError({ statusCode: 404 })
  const headers = { Authorization: `Bearer ${darkroomToken}` }
  const response = await fetch(`${darkroomUrl}/images/${id}/info`, { headers })
  if (!response.ok) throw createError({ statusCode: response.status })
  const { width, height, dominantColor } = await response.json()
  return { width, height, dominantColor }
})
