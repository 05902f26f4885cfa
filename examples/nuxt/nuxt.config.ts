export default defineNuxtConfig({
  compatibilityDate: '2026-11-01',
  modules: ['@nuxt/image'],
  image: {
    provider: 'darkroom',
    providers: { darkroom: { provider: '~/providers/darkroom.ts' } },
    // Nuxt's own grammar of URLs, for a node with DIALECTS=ipx=/_ipx and IPX_BASE=image/.
    ipx: { baseURL: process.env.DARKROOM_IPX_URL ?? 'http://127.0.0.1:8080/_ipx' },
  },
  runtimeConfig: {
    // NUXT_DARKROOM_TOKEN: stays on the server.
    darkroomToken: '',
    // NUXT_PUBLIC_DARKROOM_URL: the address that browsers use.
    public: { darkroomUrl: 'http://127.0.0.1:8080' },
  },
})
