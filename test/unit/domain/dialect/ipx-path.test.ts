import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseIpxPath } from '../../../../src/domain/dialect/ipx-path.ts'
import { assertRobust, summary } from '../../../support/dialects.ts'

/** Modifiers, and what they come to with `a.jpg` behind them. */
const UNDERSTOOD = {
  _: 'full source',
  w_300: '300w source',
  'width:300': '300w source',
  'h=200': '200h source',
  height_200: '200h source',
  s_300x200: '300w200h,cover source',
  s_200x200: '200s source',
  resize_200: '200s source',
  's_300x200,fit_contain': '300w200h,contain,bg000000 source',
  's_300x200,fit_contain,b_ff00aa,pos_top': '300w200h,contain,top,bgff00aa source',
  's_300x200,fit_contain,background_white,pos_attention': '300w200h,contain,bgffffff source',
  's_300x200&fit_fill': '300w200h,fill source',
  's_300x200,fit_inside': '300w200h source',
  's_300x200,fit_outside,pos_top': '300w200h,outside source',
  's_300x200,enlarge': '300w200h,cover,up source',
  'w_300,enlarge_true': '300w,up source',
  enlarge: 'full source',
  // The last one by its name counts, as ipx has it.
  'w_300,h_200': '300w source',
  'h_200,width_300': '300w source',
  's_300x200,h_100': '300w200h,cover source',
  's_300x200,w_100': '100w source',
  'w_300,fit_fill,pos_top,b_ff0000': '300w source',
  'w_300,w_400': '400w source',
  's_300x200,pos_top': '300w200h,cover,top source',
  's_300x200,position_right-top': '300w200h,cover,topright source',
  's_300x200,pos_left%20bottom': '300w200h,cover,bottomleft source',
  's_300x200,pos_southeast': '300w200h,cover,bottomright source',
  's_300x200,pos_west': '300w200h,cover,left source',
  's_300x200,pos_8': '300w200h,cover,topleft source',
  's_300x200,pos_centre': '300w200h,cover source',
  's_300x200,pos_entropy': '300w200h,cover,entropy source',
  's_300x200,pos_attention': '300w200h,cover,smart source',
  's_300x200,pos_17': '300w200h,cover,smart source',
  q_60: 'full,q60 source',
  'quality_60,f_webp': 'full,q60,still webp',
  f_jpeg: 'full jpg',
  format_png: 'full png',
  'format_png,f_gif': 'full gif',
  'f_webp,animated': 'full webp',
  'f_webp,a': 'full webp',
  f_auto: 'full,still negotiated',
  'f_auto,a_true': 'full negotiated',
  a: 'full source',
  b_ff0000: 'full source',
  flatten: 'full,bg000000 source',
  'flatten,b_%23fff': 'full,bgffffff source',
  rotate_90: 'full,rot90 source',
  'rotate_-90,w_300': '300w,rot270 source',
  'rotate_180,h_300': '300h,rot180 source',
  rotate: 'full source',
  'flip,flop': 'full,flip,flop source',
  // sharp mirrors first and turns afterwards, we the other way round.
  'rotate_90,flip': 'full,rot90,flop source',
  'rotate_270,flop,s_100x200,pos_left': '100w200h,cover,left,rot270,flip source',
  'rotate_180,flip': 'full,rot180,flip source',
  'grayscale,blur_2.5,sharpen_2': 'full,gray,blur2.5,sharpen source',
  'blur_0.4': 'full source',
} as const
for (const [modifiers, expected] of Object.entries(UNDERSTOOD)) {
  test(`ipx's "${modifiers}" is "${expected}"`, () => {
    assert.equal(summary(parseIpxPath(`/${modifiers}/a.jpg`)), `${expected} a.jpg`)
  })
}

const SOURCES = {
  '/_/photos/2024/a%20b.jpg': 'photos/2024/a b.jpg',
  '/_/https://host.example/a.jpg?v=1': 'https://host.example/a.jpg?v=1',
  '/_//a.jpg': 'a.jpg',
} as const
for (const [path, source] of Object.entries(SOURCES)) {
  test(`ipx's ${path} is of ${source}`, () => {
    assert.equal(parseIpxPath(path).source, source)
  })
}

const REFUSED = {
  '/': /Malformed path/,
  '/_': /Malformed path/,
  '/_/': /Malformed path/,
  '/w_300/': /Malformed path/,
  '/,/a.jpg': /""/,
  '/w_0/a.jpg': /"w_0"/,
  '/w/a.jpg': /"w"/,
  '/w_auto/a.jpg': /"w_auto"/,
  '/s_x200/a.jpg': /"s_x200"/,
  '/s_300x0/a.jpg': /"s_300x0"/,
  '/s_1x2x3/a.jpg': /"s_1x2x3"/,
  '/w_9999999/a.jpg': /"w_9999999"/,
  '/fit_scale-down/a.jpg': /"fit_scale-down"/,
  '/pos_middle/a.jpg': /"pos_middle"/,
  '/pos_right_top/a.jpg': /"pos_right_top"/,
  '/q_0/a.jpg': /"q_0"/,
  '/f_heic/a.jpg': /"f_heic"/,
  '/b_nocolour/a.jpg': /"b_nocolour"/,
  '/rotate_45/a.jpg': /"rotate_45"/,
  '/h_200,rotate_-90/a.jpg': /"rotate_-90".*"h"/,
  '/resize_300x200,rotate_90/a.jpg': /"rotate_90".*"resize"/,
  '/flip_false/a.jpg': /"flip_false"/,
  '/blur/a.jpg': /"blur"/,
  '/blur_60/a.jpg': /"blur_60"/,
  '/kernel_nearest/a.jpg': /"kernel_nearest"/,
  '/trim_10/a.jpg': /"trim_10"/,
  '/extract_1_2_3_4/a.jpg': /"extract_1_2_3_4"/,
  '/extend_1_2_3_4/a.jpg': /"extend_1_2_3_4"/,
  '/tint_ff0000/a.jpg': /"tint_ff0000"/,
  '/negate/a.jpg': /"negate"/,
  '/modulate_2/a.jpg': /"modulate_2"/,
  '/wdith_300/a.jpg': /"wdith_300"/,
  '/constructor/a.jpg': /"constructor"/,
  '/_/%zz': /percent-encoded/,
} as const
for (const [path, message] of Object.entries(REFUSED)) {
  test(`ipx's ${path} is refused, and the message says what of it`, () => {
    assert.throws(() => parseIpxPath(path), { name: 'RequestError', code: 'invalid_path', message })
  })
}

test("What ipx's parser is given, it answers with a canonical spec or a RequestError", () => {
  assertRobust(parseIpxPath, {
    first:
      '_ w_300 s_300x200,pos_top s_20,fit_contain rotate_90,flip f_webp blur_1.23456 h_7,enlarge flatten,b_red,q_3'.split(
        ' ',
      ),
    middle: ['photos', 'w_300', 'https://host.example', ''],
    last: ['a.jpg', 'a.jpg?v=1', '%zz', ''],
  })
})
