import { defineConfig } from 'astro/config'

export default defineConfig({
  image: {
    service: {
      entrypoint: './src/darkroom.ts',
      config: { baseURL: process.env.DARKROOM_URL ?? 'http://127.0.0.1:8080' },
    },
    // Every <Image> gets a srcset, and styles that keep its place free.
    layout: 'constrained',
    responsiveStyles: true,
  },
})
