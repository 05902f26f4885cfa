# Signs URLs of Darkroom for SIZE_POLICY=signed; docs/signing.md describes the algorithm. Copy the functions that you need.
# Self-test: ruby sign.rb vectors.json
require 'json'
require 'openssl'

module Darkroom
  NAME_AND_FORMAT =
    %r{\A((?:/image/[^/?]+|/s3/[^?]+/-)/[^/?]+?)(?:/[^/?]+)?\.(jpg|png|webp|avif|gif)(\?.*)?\z}

  module_function

  # Signs a URL in its canonical spelling, without scheme and host.
  # key: the first key of URL_KEYS. expires: Unix time in seconds; nil: never.
  # Example: Darkroom.sign_url('/image/3f2a…/400w/cat.webp', key, expires: Time.now.to_i + 3600)
  def sign_url(url, key, expires: nil)
    separator = url.include?('?') ? '&' : '?'
    expiry = expires.nil? ? '' : "#{separator}e=#{expires}"
    text = url.sub(NAME_AND_FORMAT, '\1/.\2\3') + expiry
    digest = OpenSSL::HMAC.digest('SHA256', key, text)
    signature = [digest].pack('m0').tr('+/', '-_').delete('=')
    "#{url}#{expiry}#{expiry.empty? ? separator : '&'}s=#{signature}"
  end

  # The URL of a picture of an object in a bucket.
  # key: as in S3, not encoded. picture: such as 400w, 400w.webp or 400w/cat.webp.
  def object_url(bucket:, key:, picture:, version_id: nil)
    segments = key.split('/', -1)
    path = encode(segments.first)
    segments.each_cons(2) do |pair|
      # Clients resolve the segments "." and ".." of a path, unless the slashes beside them are encoded.
      path += ((pair & ['.', '..']).empty? ? '/' : '%2F') + encode(pair.last)
    end
    query = version_id.nil? ? '' : "?versionId=#{encode(version_id)}"
    "/s3/#{bucket}/#{path}/-/#{picture}#{query}"
  end

  # The URL of a picture of a remote image. url: absolute. size: such as 400w.
  def remote_url(url:, size:, format: nil)
    "/image?url=#{encode(url)}&size=#{size}#{"&format=#{format}" unless format.nil?}"
  end

  # Percent-encodes as encodeURIComponent of JavaScript does.
  def encode(text)
    text.b.gsub(/[^A-Za-z0-9\-_.!~*'()]/n) { |byte| format('%%%02X', byte.ord) }
  end

  def self_test(file)
    vectors = JSON.parse(File.read(file, encoding: 'UTF-8'), symbolize_names: true)
    mismatches = vectors.reject do |vector|
      url = vector[:url]
      if vector[:object]
        url = object_url(**vector[:object].transform_keys { |name| name == :versionId ? :version_id : name })
      elsif vector[:remote]
        url = remote_url(**vector[:remote])
      end
      result = sign_url(url, vector[:key], expires: vector[:expires])
      warn "#{vector[:name]}:\n  is        #{result}\n  should be #{vector[:signed]}" if result != vector[:signed]
      result == vector[:signed]
    end
    puts "#{vectors.size - mismatches.size} of #{vectors.size} vectors match"
    mismatches.empty? ? 0 : 1
  end
end

exit Darkroom.self_test(ARGV.fetch(0)) if __FILE__ == $PROGRAM_NAME
