# frozen_string_literal: true

require "openssl"
require "tmpdir"

module Support
  # An authority that nobody else knows, and what it has issued to a server on 127.0.0.1: files, as long as the block
  # runs.
  class Certificates
    # @return [String] the path of the authority's certificate
    attr_reader :authority
    # @return [String] the path of the server's
    attr_reader :certificate
    # @return [String] the path of the server's key
    attr_reader :key

    # @yieldparam certificates [Certificates]
    # @return [Object] the block's value
    def self.issue
      Dir.mktmpdir("poolkeeper-tls-") do |folder|
        # The server runs as somebody else.
        File.chmod(0o755, folder)
        yield new(folder)
      end
    end

    def initialize(folder)
      @folder = folder
      issuer_key = OpenSSL::PKey::RSA.new(2048)
      issuer = sign(name("authority"), issuer_key.public_key, nil, issuer_key, "basicConstraints" => "CA:TRUE",
                                                                               "keyUsage" => "keyCertSign")
      key = OpenSSL::PKey::RSA.new(2048)
      own = sign(name("server"), key.public_key, issuer, issuer_key, "subjectAltName" => "IP:127.0.0.1")
      @authority = write("authority.crt", issuer)
      @certificate = write("server.crt", own)
      @key = write("server.key", key)
    end

    private

    def name(text)
      OpenSSL::X509::Name.parse("/CN=#{text} of a spec")
    end

    def sign(subject, public_key, issuer, issuer_key, extensions)
      certificate = OpenSSL::X509::Certificate.new
      certificate.version = 2
      certificate.serial = issuer ? 2 : 1
      certificate.subject = subject
      certificate.issuer = issuer ? issuer.subject : subject
      certificate.public_key = public_key
      certificate.not_before = Time.now - 3_600
      certificate.not_after = Time.now + 3_600
      factory = OpenSSL::X509::ExtensionFactory.new(issuer || certificate, certificate)
      extensions.each { |kind, value| certificate.add_extension(factory.create_extension(kind, value, false)) }
      certificate.sign(issuer_key, OpenSSL::Digest.new("SHA256"))
    end

    def write(file, document)
      File.join(@folder, file).tap { |path| File.write(path, document.to_pem) }
    end
  end
end
