require 'net/http'

# Uploads to Darkroom, deletes there, and builds URLs of pictures.
module DarkroomClient
  # Its message is for the user.
  class Error < StandardError; end

  UNAVAILABLE = 'Pictures are not available at the moment. Please try again later.'.freeze
  PICTURE_ERRORS = [413, 415, 422].freeze # too large, not a picture, corrupt

  module_function

  # Stores an uploaded file. Returns its record, with id, width and height.
  def upload(file)
    headers = { 'Content-Type' => 'application/octet-stream', 'Content-Length' => file.size.to_s }
    file.rewind
    send_request(Net::HTTP::Post.new('/images', headers).tap { |post| post.body_stream = file })
  end

  def delete(id)
    send_request(Net::HTTP::Delete.new("/images/#{id}"))
  end

  # Width, height and other properties of an object in the bucket.
  def object_info(key)
    send_request(Net::HTTP::Get.new(Darkroom.object_url(bucket: settings.bucket, key: key, picture: 'info')))
  end

  def image_url(id, spec)
    public_url("/image/#{id}/#{spec}")
  end

  def file_url(key, spec)
    public_url(Darkroom.object_url(bucket: settings.bucket, key: key, picture: spec))
  end

  def public_url(path)
    settings.public_url + (settings.url_key.present? ? Darkroom.sign_url(path, settings.url_key) : path)
  end

  def send_request(request)
    request['Authorization'] = "Bearer #{settings.token}"
    uri = URI(settings.url)
    response = Net::HTTP.start(uri.host, uri.port, use_ssl: uri.scheme == 'https') { |http| http.request(request) }
    return JSON.parse(response.body || '{}') if response.is_a?(Net::HTTPSuccess)

    Rails.logger.error("Darkroom: #{request.method} #{request.path}: #{response.code} #{response.body}")
    raise Error, PICTURE_ERRORS.include?(response.code.to_i) ? JSON.parse(response.body)['message'] : UNAVAILABLE
  rescue SystemCallError, Net::OpenTimeout, Net::ReadTimeout, IOError => error
    Rails.logger.error("Darkroom: #{request.method} #{request.path}: #{error.message}")
    raise Error, UNAVAILABLE
  end

  def settings
    Rails.configuration.x.darkroom
  end
end
