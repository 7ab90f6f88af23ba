# frozen_string_literal: true

require "spec_helper"

RSpec.describe "Poolkeeper.wrap without a database" do
  it "answers the block's value, whatever it is" do
    [nil, false, 0, [], :value].each { |value| expect(Poolkeeper.wrap { value }).to equal(value) }
  end

  it "lets through what the block raises, the very same object" do
    error = Class.new(Exception).new("the work's") # rubocop:disable Lint/InheritException
    expect { Poolkeeper.wrap { raise error } }.to(raise_error { |raised| expect(raised).to equal(error) })
  end

  it "adds no cause to what the block raises" do
    expect { Poolkeeper.wrap { raise IOError, "first" } }.to(raise_error { |error| expect(error.cause).to be_nil })
  end

  it "lets throw, break and next through" do
    expect(catch(:done) { Poolkeeper.wrap { throw(:done, 1) } }).to eq(1)
    expect(Poolkeeper.wrap { break 2 }).to eq(2)
    expect(Poolkeeper.wrap { next 3 }).to eq(3)
  end

  it "can be nested to any depth" do
    depth = 0
    nested = ->(left) { left.zero? ? depth : Poolkeeper.wrap { (depth += 1) && nested.call(left - 1) } }
    expect(nested.call(100)).to eq(100)
  end

  it "serves whoever calls `wrap` on an object: Karafka's job wrapper is one" do
    expect(Poolkeeper).to respond_to(:wrap)
    expect(Poolkeeper.method(:wrap).arity).to eq(0)
  end
end
